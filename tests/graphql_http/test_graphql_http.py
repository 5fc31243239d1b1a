"""How the view answers requests over HTTP: media types, methods, parameters, bodies."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from graphql_http_client import GRAPHQL_RESPONSE, Client, answered, refused
from graphql_http_site import ROOT, SCHEMA, make_app

from afterwrite.graphql_http import GraphQLView, Limits

HELLO = "query Hello($name: String) { hello(name: $name) }"


@pytest.fixture(scope="module")
def client() -> Client:
    return Client()


def test_a_query_is_answered_from_its_variables(client: Client) -> None:
    assert client.data(HELLO, {"name": "Zoë 🏊"}) == {"hello": "Hello Zoë 🏊"}


def test_the_same_document_is_parsed_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    query = "{ hello item { name } } # parsed once"
    first = client.data(query)
    monkeypatch.setattr("afterwrite.graphql_http.documents.parse_document", None)
    assert client.data(query) == first


def test_a_graphql_core_schema_can_be_mounted_too() -> None:
    app = make_app()
    view = GraphQLView.as_view("other", schema=SCHEMA.graphql_schema)
    app.add_url_rule("/other", view_func=view)
    response = app.test_client().post("/other", json={"query": "{ hello }"})
    assert answered(response, 200) == {"data": {"hello": "Hello you"}}


def test_the_context_comes_from_the_flask_request() -> None:
    client = Client(context=lambda http: http.headers["X-User"])
    response = client.send(b'{"query": "{ context }"}', headers={"X-User": "ada"})
    assert answered(response, 200) == {"data": {"context": "ada"}}


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json", "application/json"),
        ("APPLICATION/JSON; Charset=UTF-8", "application/json"),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}, application/json;q=0.9", GRAPHQL_RESPONSE),
        (f"application/json, {GRAPHQL_RESPONSE}", "application/json"),
        (f"application/json;q=0.5, {GRAPHQL_RESPONSE};q=0.6", GRAPHQL_RESPONSE),
        (f"*/*, {GRAPHQL_RESPONSE}", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0, */*", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
        ("text/html;level=1, application/json;q=nonsense, */*;q=0.2", None),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json; charset=latin-1", None),
        (";;,,", None),
    ],
)
def test_the_answer_comes_as_the_client_likes_it_best(client: Client, accept: str | None, given: str | None) -> None:
    headers = {} if accept is None else {"Accept": accept}
    response = client.send(b'{"query": "{ hello }"}', headers=headers)
    if given is None:
        assert "application/json" in refused(response, 406, "BAD_REQUEST")["message"]
    else:
        assert response.status_code == 200
        assert response.content_type == f"{given}; charset=utf-8"
        assert response.headers["Vary"] == "Accept"


@pytest.mark.parametrize(("accept", "status"), [("application/json", 200), (GRAPHQL_RESPONSE, 400)])
@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": ""}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "fragment F on Item { name }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "fragment F on Query { ...F } { ...F }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A { hello } query B { hello }"}, "BAD_USER_INPUT"),
        ({"query": "query A { hello }", "operationName": "B"}, "BAD_USER_INPUT"),
        ({"query": "query($n: Int!) { echo(integer: $n) }"}, "BAD_USER_INPUT"),
        ({"query": "query($n: Int) { echo(integer: $n) }", "variables": {"n": "1"}}, "BAD_USER_INPUT"),
        ({"query": "query($n: Boolean) { hello @skip(if: $n) }"}, "GRAPHQL_VALIDATION_FAILED"),
    ],
)
def test_a_request_that_cannot_be_executed_has_no_data(
    client: Client, parameters: dict[str, Any], code: str, accept: str, status: int
) -> None:
    refused(client.post(accept=accept, **parameters), status, code)


def test_the_operation_is_chosen_by_its_name(client: Client) -> None:
    query = "query A { hello } query B { item { name } }"
    assert answered(client.post(query, operationName="B"), 200) == {"data": {"item": {"name": "name"}}}
    assert answered(client.post(query, operationName="A"), 200) == {"data": {"hello": "Hello you"}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b'{"query": "{ hello }"',
        b"null",
        b"1",
        b'"{ hello }"',
        b"[]",
        b'[{"query": "{ hello }"}]',
        b"{}",
        b'{"query": null}',
        b'{"query": ["{ hello }"]}',
        b'{"query": 1}',
        b'{"query": "{ hello }", "variables": []}',
        b'{"query": "{ hello }", "variables": "{}"}',
        b'{"query": "{ hello }", "operationName": {}}',
        b'{"query": "{ hello }", "extensions": false}',
        b'{"query": "{ hello }", "variables": {"n": NaN}}',
        b'{"query": "{ hello }", "variables": {"n": -Infinity}}',
        b'{"query": "{ hello }", "variables": {"n": 1e999}}',
        b'{"query": "{ hello }", "variables": {"n": ' + b"9" * 5_000 + b"}}",
        b'{"query": "{ hello }", "variables": {"n": "\\ud800"}}',
        b'{"query": "{ hello \\udfff }"}',
        b'{"query": "{ hello }", "variables": {"n": "\xff"}}',
        b'\xef\xbb\xbf{"query": "{ hello }"}',
        '{"query": "{ hello }"}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"query": "{ hello }", "variables": {"n": ' + b"[" * 200 + b"]" * 200 + b"}}",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    ],
)
def test_a_body_that_is_no_request_gets_400(client: Client, body: bytes) -> None:
    refused(client.send(body), 400, "BAD_REQUEST")
    refused(client.send(body, headers={"Accept": GRAPHQL_RESPONSE}), 400, "BAD_REQUEST")


def test_a_batch_is_refused_with_what_to_do(client: Client) -> None:
    assert "one request at a time" in refused(client.send(b"[{}]"), 400, "BAD_REQUEST")["message"]


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/json; charset=latin-1",
        "application/jsonp",
    ],
)
@pytest.mark.parametrize("query", ["{ hello }", "mutation { rename { name } }"])
def test_a_body_that_is_not_called_json_is_not_read(client: Client, content_type: str, query: str) -> None:
    body = json.dumps({"query": query}).encode()
    refused(client.send(body, content_type), 415, "BAD_REQUEST")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        'application/json;CHARSET="UTF-8"',
        "Application/JSON;odata=verbose",
    ],
)
def test_json_may_be_called_json_in_every_way(client: Client, content_type: str) -> None:
    assert answered(client.send(b'{"query": "{ hello }"}', content_type), 200)


def test_a_compressed_body_is_refused(client: Client) -> None:
    response = client.send(b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert "gzip" in refused(response, 415, "BAD_REQUEST")["message"]


class _Unreadable(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise AssertionError("the body was read")


class _Drops(io.RawIOBase):
    def __init__(self, size: int) -> None:
        self.left = size
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "the whole body was asked for"
        size = min(size, 1_000, self.left)
        self.left -= size
        self.taken += size
        return b" " * size


def test_a_body_announced_too_long_is_not_read() -> None:
    client = Client(limits=Limits(max_body_bytes=100))
    environ = {"wsgi.input": _Unreadable(), "CONTENT_LENGTH": "101"}
    response = client.http.post("/graphql", content_type="application/json", environ_overrides=environ)
    error = refused(response, 413, "BAD_REQUEST")
    assert "101 bytes; the limit is 100 bytes (MAX_BODY_BYTES)" in error["message"]


def test_of_a_body_of_unknown_length_no_more_than_twice_the_limit_is_read() -> None:
    client = Client(limits=Limits(max_body_bytes=10_000))
    body = _Drops(1_000_000)
    environ = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    response = client.http.post("/graphql", content_type="application/json", environ_overrides=environ)
    assert "more than 10000 bytes" in refused(response, 413, "BAD_REQUEST")["message"]
    # What is past the limit is dropped, so that the client gets to see the answer.
    assert body.taken == 20_001


def test_a_body_of_unknown_length_within_the_limit_is_answered(client: Client) -> None:
    body = io.BytesIO(b'{"query": "{ hello }"}')
    environ = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    response = client.http.post("/graphql", content_type="application/json", environ_overrides=environ)
    assert answered(response, 200)


@pytest.mark.parametrize(("length", "message"), [("50", "after 2 of 50"), ("-1", "'-1'"), ("1e3", "'1e3'")])
def test_a_body_that_breaks_its_word_is_refused(client: Client, length: str, message: str) -> None:
    environ = {"wsgi.input": io.BytesIO(b"{}"), "CONTENT_LENGTH": length}
    response = client.http.post("/graphql", content_type="application/json", environ_overrides=environ)
    assert message in refused(response, 400, "BAD_REQUEST")["message"]


def test_a_thousand_rows_of_4_mib_in_variables_are_answered(client: Client) -> None:
    query = "query($rows: [Filter]) { rows(rows: $rows) }"
    rows = [{"text": "x" * 4_150} for _ in range(1_000)]
    body = json.dumps({"query": query, "variables": {"rows": rows}}).encode()
    assert 4_100_000 < len(body) <= Limits().max_body_bytes
    assert answered(client.send(body), 200) == {"data": {"rows": 1_000}}


def test_a_query_is_answered_on_get(client: Client) -> None:
    parameters = {"query": HELLO, "variables": '{"name": "ada"}', "operationName": "Hello", "extensions": ""}
    response = client.http.get("/graphql", query_string=parameters)
    assert answered(response, 200) == {"data": {"hello": "Hello ada"}}


@pytest.mark.parametrize(
    "query_string",
    [
        "",
        "query=",
        "query=%FF",
        "query={hello}&query={hello}",
        "query={hello}&variables=[]",
        "query={hello}&variables={",
        "query={hello}&variables=NaN",
        "query={hello}&extensions=1",
        "&".join(f"a{n}=1" for n in range(30)),
    ],
)
def test_a_get_that_is_no_request_is_refused(client: Client, query_string: str) -> None:
    response = client.http.get("/graphql", query_string=query_string, headers={"Accept": GRAPHQL_RESPONSE})
    answered(response, 400)


def test_a_mutation_runs_by_post_and_not_by_get(client: Client) -> None:
    query = 'mutation { rename(name: "x") { name } }'
    assert client.data(query) == {"rename": {"name": "x"}}
    for method in (client.http.get, client.http.head):
        response = method("/graphql", query_string={"query": query})
        assert response.status_code == 405
        assert response.headers["Allow"] == "POST"
    refused(client.http.get("/graphql", query_string={"query": query}), 405, "BAD_REQUEST")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "QUERY", "TRACE"])
def test_other_methods_are_refused_in_json(client: Client, method: str) -> None:
    response = client.http.open("/graphql", method=method)
    refused(response, 405, "BAD_REQUEST")
    assert "POST" in response.headers["Allow"]


def test_options_and_head_have_no_body(client: Client) -> None:
    response = client.http.options("/graphql")
    assert (response.status_code, response.data) == (204, b"")
    assert "POST" in response.headers["Allow"]
    response = client.http.head("/graphql?query={hello}")
    assert (response.status_code, response.data) == (200, b"")


def test_the_package_imports_nothing_of_the_project() -> None:
    package = ROOT / "afterwrite" / "graphql_http"
    allowed = ("graphql", "graphene", "flask", "orjson", "websockets", "werkzeug")
    standard = set(__import__("sys").stdlib_module_names)
    for path in package.rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if len(words) > 1 and words[0] in ("from", "import") and not line.startswith(" "):
                top = words[1].split(".")[0]
                own = f"{words[1]}.".startswith("afterwrite.graphql_http.")
                assert own or top in allowed or top in standard, (path.name, line)
