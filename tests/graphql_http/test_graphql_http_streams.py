"""Event streams over a real socket: the protocol, the cap on open streams, and that nothing stays open."""

from __future__ import annotations

import gc
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from graphql import GraphQLError
from graphql_http_client import Client, refused
from graphql_http_site import Source, make_app, serving

from afterwrite.graphql_http import KEEP_ALIVE
from afterwrite.graphql_http.streams import EventSource, EventStream

EVENT_STREAM = "text/event-stream"
TIMEOUT_SECONDS = 20


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def url(source: Source) -> Iterator[str]:
    with serving(make_app(context=lambda _http: source, max_streams=2)) as url:
        yield url


@contextmanager
def _asked(
    url: str, query: str, variables: Any = None, accept: str = EVENT_STREAM
) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)
    with closing(connection):
        body = json.dumps({"query": query, "variables": variables})
        headers = {"Accept": accept, "Content-Type": "application/json", "Connection": "close"}
        connection.request("POST", "/graphql", body, headers)
        with closing(connection.getresponse()) as response:
            yield response


def _read(url: str, query: str, variables: Any = None) -> str:
    with _asked(url, query, variables) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        return response.read().decode()


def _results(text: str) -> list[Any]:
    """Returns the results in a whole stream, which must end with `complete`."""
    *messages, complete, rest = text.split("\n\n")
    assert (complete, rest) == ("event: complete\ndata:", "")
    results = []
    for message in messages:
        if message != ":":
            event, data = message.split("\n")
            assert event == "event: next"
            results.append(json.loads(data.removeprefix("data: ")))
    return results


def _only_code(text: str) -> str:
    [result] = _results(text)
    assert list(result) == ["errors"]
    code: str = result["errors"][0]["extensions"]["code"]
    return code


def test_each_event_of_a_subscription_is_one_result(url: str) -> None:
    text = _read(url, "subscription($to: Int!) { count(to: $to) }", {"to": 2})
    assert text == (
        ":\n\n"
        ':\n\nevent: next\ndata: {"data":{"count":1}}\n\n'
        ':\n\nevent: next\ndata: {"data":{"count":2}}\n\n'
        "event: complete\ndata:\n\n"
    )


def test_a_subscription_can_be_opened_by_get_as_a_browser_does(url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)
    with closing(connection):
        query = quote("subscription { again: count(to: 1) }")
        connection.request("GET", f"/graphql?query={query}", headers={"Accept": EVENT_STREAM})
        response = connection.getresponse()
        assert _results(response.read().decode()) == [{"data": {"again": 1}}]


@pytest.mark.parametrize("query", ["{ hello }", 'mutation { rename(name: "x") { name } }'])
def test_a_query_or_mutation_is_one_event(url: str, query: str) -> None:
    [result] = _results(_read(url, query))
    assert list(result) == ["data"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription($n: Int!) { count(to: $n) }", "BAD_USER_INPUT"),
        ("subscription($n: Int = 1) { count(to: $n) }", "BAD_USER_INPUT"),
        ("subscription($s: Boolean = true) { count(to: 1) @skip(if: $s) }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ echo(integer: true) }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { refuses }", "FORBIDDEN"),
        ("subscription { refuses(later: true) }", "FORBIDDEN"),
        ("subscription { notIterable }", "INTERNAL_SERVER_ERROR"),
    ],
)
def test_what_cannot_be_streamed_is_one_event_with_errors(url: str, query: str, code: str) -> None:
    variables = {"n": None} if "n: Int = 1" in query else None
    assert _only_code(_read(url, query, variables)) == code


def test_a_source_that_breaks_off_ends_with_a_masked_error(url: str, caplog: pytest.LogCaptureFixture) -> None:
    first, last = _results(_read(url, "subscription { breaks }"))
    assert first == {"data": {"breaks": 1}}
    [error] = last["errors"]
    assert error["path"] == ["breaks"]
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert error["extensions"]["incident"] in caplog.text
    assert "secret" not in str(error)


def test_a_malformed_request_is_refused_in_json(url: str) -> None:
    with _asked(url, 1) as response:  # type: ignore[arg-type]
        assert response.status == 400
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"


def test_a_subscription_without_event_streams_is_refused() -> None:
    client = Client()
    query = "subscription { count(to: 1) }"
    assert EVENT_STREAM in refused(client.post(query), 406, "BAD_REQUEST")["message"]


def test_past_the_cap_a_stream_is_refused_and_a_query_is_not(url: str, source: Source) -> None:
    quiet = "subscription { quiet }"
    with _asked(url, quiet), _asked(url, quiet):
        source.opened.wait(TIMEOUT_SECONDS)
        with _asked(url, quiet) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "5"
            [error] = json.loads(response.read())["errors"]
            assert error["extensions"] == {"code": "TOO_MANY_STREAMS", "maximum": 2}
            assert "(MAX_STREAMS)" in error["message"]
        assert _results(_read(url, "{ hello }"))


def test_a_client_that_goes_away_closes_the_source_and_frees_the_slot(source: Source) -> None:
    app = make_app(context=lambda _http: source, max_streams=1)
    with serving(app) as url:
        parts = urlsplit(url)
        body = b'{"query": "subscription { quiet }"}'
        head = (
            "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Accept: {EVENT_STREAM}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((parts.hostname, parts.port), TIMEOUT_SECONDS) as client:
            client.sendall(head.encode() + body)
            assert source.opened.wait(TIMEOUT_SECONDS)
        assert source.closed.wait(TIMEOUT_SECONDS)
    # The server has ended, and with it the thread that closed the stream.
    response = app.test_client().post(
        "/graphql", json={"query": "subscription { count(to: 1) }"}, headers={"Accept": EVENT_STREAM}
    )
    assert response.status_code == 200
    assert _results(response.get_data(as_text=True)) == [{"data": {"count": 1}}]


@pytest.mark.parametrize("query", ["subscription { count(to: 1) }", "subscription { breaks }", "{ hello }"])
def test_a_stream_that_ended_left_its_slot(query: str) -> None:
    client = Client(max_streams=1)
    for _ in range(3):
        assert client.post(query, accept=EVENT_STREAM).get_data()


def test_a_subscription_that_never_began_left_its_slot() -> None:
    client = Client(max_streams=1)
    for query in ("subscription { refuses }", "subscription { notIterable }") * 2:
        assert client.post(query, accept=EVENT_STREAM).status_code == 200


def test_a_head_request_opens_no_stream(source: Source) -> None:
    client = Client(max_streams=1, context=lambda _http: source)
    for _ in range(3):
        response = client.http.head(
            "/graphql?query=subscription{quiet}", headers={"Accept": EVENT_STREAM}, buffered=True
        )
        assert response.status_code == 200


class _Events:
    """A source that says when it was closed, and can be made to wait."""

    def __init__(self, wait: Callable[[], Any] = lambda: None) -> None:
        self.closed = 0
        self._wait = wait

    def __iter__(self) -> _Events:
        return self

    def __next__(self) -> Any:
        self._wait()
        return KEEP_ALIVE

    def close(self) -> None:
        self.closed += 1


def _stream(events: Any) -> tuple[EventStream, list[str]]:
    closings: list[str] = []

    def refuse(error: GraphQLError) -> bytes:
        return error.message.encode()

    source = EventSource(iter(events), [], ["field"])
    return EventStream(source, lambda event: b"%d" % event, refuse, lambda: closings.append("closed")), closings


def test_a_stream_closed_before_it_began_closes_its_source() -> None:
    events = _Events()
    stream, closings = _stream(events)
    stream.close()
    stream.close()
    assert (events.closed, closings) == (1, ["closed"])
    assert list(stream) == []


def test_a_stream_that_is_dropped_closes_its_source() -> None:
    events = _Events()
    stream, closings = _stream(events)
    assert next(stream) == b":\n\n"
    del stream
    gc.collect()
    assert (events.closed, closings) == (1, ["closed"])


def test_a_stream_read_to_its_end_is_closed() -> None:
    stream, closings = _stream([1])
    assert list(stream) == [b":\n\n", b"event: next\ndata: 1\n\n", b"event: complete\ndata:\n\n"]
    assert closings == ["closed"]


def test_a_stream_closed_from_another_thread_is_closed_when_its_source_lets_go() -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        waiting.set()
        assert go_on.wait(TIMEOUT_SECONDS)

    events = _Events(wait)
    stream, closings = _stream(events)
    assert next(stream) == b":\n\n"
    reader = threading.Thread(target=list, args=(stream,))
    reader.start()
    assert waiting.wait(TIMEOUT_SECONDS)
    stream.close()
    assert closings == []
    go_on.set()
    reader.join(TIMEOUT_SECONDS)
    assert (events.closed, closings) == (1, ["closed"])
