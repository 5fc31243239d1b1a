"""What the REST API refuses, and how it says so, over HTTP against a real server."""

import http.client
import json
import logging
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from databases import Database
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from other_process import write_lock
from server_process import ServerProcess
from task_calls import Answer, problem, rest

from afterwrite.rest.problems import problem_of

MAX_BODY = 100_000
LAMP = {"products": [{"title": "Lamp", "price": 12.5}]}


@pytest.fixture(scope="module")
def api(module_database: Database) -> Iterator[ServerProcess]:
    """One server for all tests of this file."""
    server = ServerProcess.on(module_database, STAGE_SECONDS="0", MAX_BODY_BYTES=str(MAX_BODY)).start()
    yield server
    server.kill()


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("limit=0", ["limit"]),
        ("limit=501", ["limit"]),
        ("limit=", ["limit"]),
        ("limit=1e2", ["limit"]),
        ("limit=%D9%A3", ["limit"]),
        ("limit=" + "9" * 400, ["limit"]),
        ("limit=1&limit=2", ["limit"]),
        ("offset=-1", ["offset"]),
        ("offset=9223372036854775808", ["offset"]),
        ("status=created", ["status"]),
        ("search=" + "x" * 201, ["search"]),
        ("search=a%00b", ["search"]),
        ("limit=x&offset=x&status=x", ["limit", "offset", "status"]),
    ],
)
def test_a_page_that_cannot_be_is_refused_with_the_parameter(
    api: ServerProcess, query: str, parameters: list[str]
) -> None:
    refused = problem(rest(api, "GET", f"/api/entries?{query}"), 422, "INVALID_REQUEST")
    assert [error["parameter"] for error in refused["errors"]] == parameters
    assert len(refused["detail"]) < 300


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["#/title"]),
        ({"title": ""}, ["#/title"]),
        ({"title": " \n"}, ["#/title"]),
        ({"title": None}, ["#/title"]),
        ({"title": 5}, ["#/title"]),
        ({"title": "x" * 301}, ["#/title"]),
        ({"title": "x", "other": 1}, ["#/other"]),
        ({"title": "x", "a/b~ü": 1}, ["#/a~1b~0%C3%BC"]),
        ([], ["#"]),
        (None, ["#"]),
        ("title", ["#"]),
    ],
)
def test_an_entry_that_does_not_fit_is_refused_with_the_place(
    api: ServerProcess, body: Any, pointers: list[str]
) -> None:
    answer = rest(api, "POST", "/api/entries", raw=json.dumps(body).encode())
    refused = problem(answer, 422, "INVALID_REQUEST")
    assert [error["pointer"] for error in refused["errors"]] == pointers


@pytest.mark.parametrize("path", ["/api/entries", "/api/process"])
@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "MALFORMED_JSON"),
        (b"{", 400, "MALFORMED_JSON"),
        (b'{"title": "a", "title": "b"}', 400, "MALFORMED_JSON"),
        (b'{"title": NaN}', 400, "MALFORMED_JSON"),
        (b'{"title": -Infinity}', 400, "MALFORMED_JSON"),
        (b'{"title": 1e999}', 400, "MALFORMED_JSON"),
        (b'{"title": 1e-400}', 400, "MALFORMED_JSON"),
        (b'{"title": ' + b"9" * 5000 + b"}", 400, "MALFORMED_JSON"),
        (b'{"title": "\xff"}', 400, "MALFORMED_JSON"),
        (b'\xef\xbb\xbf{"title": "x"}', 400, "MALFORMED_JSON"),
        (b"[" * 50_000, 400, "MALFORMED_JSON"),
        (b"[" * 101 + b"]" * 101, 400, "MALFORMED_JSON"),
        (b'{"title": "\\u0000"}', 422, "INVALID_TEXT"),
        (b'{"title": "\\ud800"}', 422, "INVALID_TEXT"),
        (b'{"\\udfff": "x"}', 422, "INVALID_TEXT"),
        (b'{"title": "' + b"x" * MAX_BODY + b'"}', 413, "BODY_TOO_LARGE"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    api: ServerProcess, path: str, raw: bytes, status: int, code: str
) -> None:
    problem(rest(api, "POST", path, raw=raw), status, code)


def test_an_escaped_backslash_and_a_whole_surrogate_pair_are_texts(api: ServerProcess) -> None:
    answer = rest(api, "POST", "/api/entries", raw=b'{"title": "\\\\u0000 \\ud83e\\udd93"}')
    assert (answer.status, answer.body["title"]) == (201, "\\u0000 🦓")


def test_a_body_in_chunks_is_read_and_limited(api: ServerProcess) -> None:
    def send(parts: list[bytes]) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/api/entries", iter(parts), headers, encode_chunked=True)
        status = connection.getresponse().status
        connection.close()
        return status

    assert send([b'{"title": ', b'"In chunks"}']) == 201
    assert send([b'{"title": "', *[b"x" * 1000] * 101, b'"}']) == 413


def test_a_body_that_breaks_off_creates_nothing(api: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as raw:
        head = "POST /api/entries HTTP/1.1\r\nHost: localhost\r\n"
        head += "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
        raw.sendall(head.encode() + b'{"title": "Broken off"}')
        raw.shutdown(socket.SHUT_WR)
        raw.recv(65536)
    assert rest(api, "GET", "/api/entries?search=broken").body["total"] == 0


@pytest.mark.parametrize("path", ["/api/entries", "/api/process", "/webhook"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "application/x-www-form-urlencoded"},
        {"Content_Type": "multipart/form-data; boundary=x"},
        {"Content_Type": "text/plain"},
        {"Content_Type": ""},
        {"Content_Type": "application/json; charset=latin-1"},
        {"Content_Type": "application/json", "Content_Encoding": "gzip"},
    ],
)
def test_what_a_form_of_another_site_can_send_is_refused(
    api: ServerProcess, path: str, headers: dict[str, str]
) -> None:
    problem(rest(api, "POST", path, raw=b'{"title": "x"}', **headers), 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("number", ["abc", "0", "-1", "9223372036854775808", "1e3", "%00", "1%2F2", "12", "٣"])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_an_entry_that_does_not_exist_is_not_found(api: ServerProcess, method: str, number: str) -> None:
    path = f"/api/entries/{number}" if number.isascii() else "/api/entries/%D9%A3"
    answer = rest(api, method, path, {"progress": 1} if method == "PATCH" else None)
    assert answer.status == 404
    assert answer.body["code"] in ("TASK_NOT_FOUND", "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/entries", "GET, HEAD, OPTIONS, POST"),
        ("PUT", "/api/entries/1", "GET, HEAD, OPTIONS, PATCH"),
        ("GET", "/api/process", "OPTIONS, POST"),
        ("BREW", "/webhook", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/openapi.json", "GET, HEAD, OPTIONS"),
        ("DELETE", "/health", "GET, HEAD, OPTIONS"),
        ("POST", "/ready", "GET, HEAD, OPTIONS"),
        ("PUT", "/metrics", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_is_not_answered_names_those_that_are(
    api: ServerProcess, method: str, path: str, allowed: str
) -> None:
    answer = rest(api, method, path)
    problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/entries/", "/webhook/x", "/openapi.json/x"])
def test_a_path_that_leads_nowhere_is_a_problem(api: ServerProcess, path: str) -> None:
    problem(rest(api, "GET", path), 404, "NOT_FOUND")


def test_other_paths_keep_the_form_of_their_own_errors(api: ServerProcess) -> None:
    assert rest(api, "GET", "/apix").body["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert rest(api, "GET", "/graphql?query=x").body["errors"]


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({}, ["#"]),
        ({"status": "CANCELLED"}, ["#/status"]),
        ({"status": None}, ["#/status"]),
        ({"progress": -1}, ["#/progress"]),
        ({"progress": 101}, ["#/progress"]),
        ({"progress": 1.5}, ["#/progress"]),
        ({"progress": True}, ["#/progress"]),
        ({"progress": 10**400}, ["#/progress"]),
        ({"progress": "10"}, ["#/progress"]),
        ({"status": "COMPLETED", "progress": 99}, ["#/progress"]),
        ({"status": "STAGE_1", "error": "x"}, ["#/status"]),
        ({"progress": 1, "error": "x"}, ["#/status"]),
        ({"progress": 1, "lockedBy": ""}, ["#/lockedBy"]),
        ({"progress": 1, "title": "x"}, ["#/title"]),
    ],
)
def test_a_change_that_does_not_fit_is_refused_with_the_place(
    api: ServerProcess, fields: dict[str, Any], pointers: list[str]
) -> None:
    refused = problem(rest(api, "PATCH", "/api/entries/12", fields), 422, "INVALID_REQUEST")
    assert [error["pointer"] for error in refused["errors"]] == pointers


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({}, "INVALID_REQUEST", "#/payload"),
        ({"payload": {}}, "INVALID_REQUEST", "#/payload/products"),
        ({"payload": {"products": []}}, "INVALID_REQUEST", "#/payload/products"),
        ({"payload": {"products": [{}, 1]}}, "INVALID_REQUEST", "#/payload/products/1"),
        ({"payload": LAMP, "callback_url": 1}, "INVALID_REQUEST", "#/callback_url"),
        ({"payload": LAMP, "callback_url": "http://169.254.169.254/"}, "INVALID_ARGUMENT", "#/callback_url"),
        ({"payload": LAMP, "callback_url": "http://u:p@example.com/"}, "INVALID_ARGUMENT", "#/callback_url"),
        ({"payload": LAMP, "callback_url": ""}, "INVALID_ARGUMENT", "#/callback_url"),
    ],
)
def test_a_process_that_does_not_fit_is_refused_with_the_place(
    api: ServerProcess, body: Any, code: str, pointer: str
) -> None:
    refused = problem(rest(api, "POST", "/api/process", body), 422, code)
    assert [error["pointer"] for error in refused["errors"]] == [pointer]


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_cannot_be_kept_is_refused(api: ServerProcess, key: str) -> None:
    for path, body in (("/api/entries", {"title": "x"}), ("/api/process", {"payload": LAMP})):
        refused = problem(rest(api, "POST", path, body, Idempotency_Key=key), 422, "INVALID_ARGUMENT")
        assert [error["header"] for error in refused["errors"]] == ["Idempotency-Key"]


# -- when things go wrong --------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="the lock is taken by another process of POSIX")
@pytest.mark.one_database("PostgreSQL lets who writes wait for a lock")
def test_a_database_that_cannot_be_written_is_said_and_the_request_may_be_sent_again(
    make_server: Callable[..., ServerProcess],
) -> None:
    api = make_server().start()
    assert rest(api, "POST", "/api/entries", {"title": "Before"}).status == 201
    with write_lock(api.data_dir / "tasks.db"):
        answer = rest(api, "POST", "/api/entries", {"title": "Between"})
        problem(answer, 503, "DATABASE_UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) > 0
        assert rest(api, "GET", "/api/entries").body["total"] == 1
    assert rest(api, "POST", "/api/entries", {"title": "After"}).status == 201


def test_an_error_that_nobody_expected_is_logged_and_shows_nothing_but_an_incident(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = problem_of(ValueError("a secret")).answer()
    shown = json.loads(answer.get_data())
    assert (answer.status_code, shown["code"]) == (500, "INTERNAL_SERVER_ERROR")
    assert "a secret" not in answer.get_data(as_text=True)
    assert f"incident {shown['incident']}" in caplog.text
    assert "a secret" in caplog.text


def test_no_host_header_is_answered_with_an_error_of_the_server(make_server: Callable[..., ServerProcess]) -> None:
    server = make_server(ALLOW_ANONYMOUS="write").start()  # an open one looks at the Host first
    for host in ("", "a b", "x<>y", "[::1", "x" * 1000, "127.0.0.1:99999", "\xff"):
        answer = rest(server, "POST", "/api/process", {"payload": LAMP}, Host=host)
        assert answer.status in (202, 400)


def graphql_code(answer: Answer) -> str:
    """The code of the one error of an answer that must have the form of GraphQL."""
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    [error] = answer.body["errors"]
    code: str = error["extensions"]["code"]
    return code


@pytest.mark.one_database("it never comes to the database")
@pytest.mark.parametrize("kind", ["granian", "gunicorn"])
def test_a_host_or_a_path_that_cannot_be_is_refused_in_the_form_of_its_place(
    make_server: Callable[..., ServerProcess], kind: str
) -> None:
    server = make_server(SERVER=kind, ALLOW_ANONYMOUS="write").start()
    for host in ("x" * 300, "x" * 64 + ".com", "a..b"):
        for method, path in (("GET", "/api/entries"), ("POST", "/webhook"), ("GET", "/health"), ("GET", "/api/no")):
            refused = problem(rest(server, method, path, Host=host), 400, "BAD_REQUEST")
            assert host[:60] in refused["detail"]
        for method, path in (("GET", "/products"), ("GET", "/graphql"), ("POST", "/graphql")):
            body = None if method == "GET" else {"query": "{ __typename }"}
            answer = rest(server, method, path, body, Host=host, Accept="text/html")
            assert (answer.status, graphql_code(answer)) == (400, "BAD_REQUEST")
    for method, path in (("GET", "/api//entries"), ("POST", "/api//entries"), ("GET", "/api/entries//1")):
        problem(rest(server, method, path), 404, "NOT_FOUND")
    answer = rest(server, "GET", "/task-types//pause")
    assert (answer.status, graphql_code(answer)) == (404, "BAD_REQUEST")
    assert "ERROR" not in server.log


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def likely(names: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Bodies that have the right names, some of them with any value."""
    return JSON_VALUES | st.fixed_dictionaries({}, optional={n: s | JSON_VALUES for n, s in names.items()})


PRODUCTS = st.fixed_dictionaries({"products": st.lists(st.dictionaries(st.text(), JSON_VALUES), max_size=3)})
STATUSES = st.sampled_from(["CREATED", "STAGE_1", "STAGE_2", "COMPLETED", "FAILED"])
BODIES = {
    ("POST", "/api/entries"): likely({"title": st.text()}),
    ("POST", "/api/process"): likely({"payload": PRODUCTS, "callback_url": st.text() | st.none()}),
    ("PATCH", "/api/entries/{}"): likely(
        {"status": STATUSES, "progress": st.integers(-1, 101), "lockedBy": st.text(), "error": st.text()}
    ),
    ("POST", "/webhook"): JSON_VALUES,
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), route=st.sampled_from(sorted(BODIES)))
def test_no_body_is_answered_with_an_error_of_the_server(
    api: ServerProcess, data: st.DataObject, route: tuple[str, str]
) -> None:
    method, path = route
    entry = rest(api, "GET", "/api/entries?limit=1").body["entries"]
    raw = json.dumps(data.draw(BODIES[route])).encode()
    answer = rest(api, method, path.format(entry[0]["id"] if entry else "1"), raw=raw)
    assert answer.status in (200, 201, 202) or 400 <= answer.status < 500, answer.body
    if answer.status >= 400:
        problem(answer, answer.status, answer.body["code"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_no_bytes_are_answered_with_an_error_of_the_server(api: ServerProcess, raw: bytes) -> None:
    for method, path in (("POST", "/api/entries"), ("PATCH", "/api/entries/1"), ("POST", "/api/process")):
        assert 400 <= rest(api, method, path, raw=raw).status < 500


def test_nothing_of_all_this_was_an_internal_error(api: ServerProcess) -> None:
    assert "incident" not in api.log
    assert rest(api, "GET", "/health").body["status"] == "ok"
