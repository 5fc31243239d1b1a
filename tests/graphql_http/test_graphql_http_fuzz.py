"""Whatever is sent, the answer is never a 500 and never HTML."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from graphql_http_client import GRAPHQL_RESPONSE, Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CLIENT = Client(graphiql=True)
ACCEPTS = ["application/json", GRAPHQL_RESPONSE, "text/event-stream", "*/*", "text/html"]
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**300, max_value=10**310)
    | st.floats()
    | st.text()
    | st.text(st.characters(categories=["Cs"]), max_size=3),
    lambda values: st.lists(values, max_size=5) | st.dictionaries(st.text(max_size=5), values, max_size=5),
    max_leaves=20,
)
header_texts = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60)

# Pieces that make documents which are nearly right, so that every stage of the work is reached.
PIECES = [*Path(__file__).with_name("graphql_http_pieces.txt").read_text(encoding="utf-8").split(), "\n", "\0"]
documents = st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join) | st.text()
fields = st.sampled_from(
    [
        "echo(integer: $v)",
        "echo(number: $v)",
        "echo(id: $v)",
        "echo(yes: $v)",
        "echo(colour: $v)",
        "echo(filter: $v)",
        "echo(any: $v)",
        "echo(texts: $v)",
        "required(text: $v)",
        "rows(rows: $v)",
        "items(first: $v) { id }",
    ]
)
TYPES = {
    "integer": "Int",
    "number": "Float",
    "id": "ID",
    "yes": "Boolean",
    "colour": "Colour",
    "filter": "Filter",
    "any": "JSONString",
    "texts": "[String]",
    "text": "String!",
    "rows": "[Filter]",
    "first": "Int",
}


def _check(response: Any) -> None:
    assert response.status_code < 500, response.get_data(as_text=True)
    body = response.get_data(as_text=True)
    if response.content_type.startswith("text/event-stream"):
        assert body.endswith("event: complete\ndata:\n\n")
    elif response.content_type.startswith("text/html"):
        assert 'id="graphiql"' in body
    else:
        assert response.content_type.startswith(("application/json", GRAPHQL_RESPONSE))
        answer = json.loads(body, parse_constant=pytest.fail)
        assert answer.keys() <= {"data", "errors"}
        assert all(error["extensions"]["code"] for error in answer.get("errors", ()))


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """The schema fails on purpose in places; thousands of tracebacks would say nothing."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@SETTINGS
@given(body=st.binary() | st.text().map(str.encode), accept=header_texts | st.sampled_from(ACCEPTS))
def test_any_bytes_are_answered(body: bytes, accept: str) -> None:
    _check(CLIENT.send(body, headers={"Accept": accept}))


@SETTINGS
@given(
    body=st.fixed_dictionaries(
        {},
        optional={
            "query": documents | json_values,
            "variables": st.dictionaries(st.text(max_size=3), json_values, max_size=4) | json_values,
            "operationName": st.text() | json_values,
            "extensions": json_values,
        },
    ),
    accept=st.sampled_from(ACCEPTS),
)
def test_any_json_is_answered(body: Any, accept: str) -> None:
    _check(CLIENT.send(json.dumps(body).encode(), headers={"Accept": accept}))


@SETTINGS
@given(query=documents, variables=st.dictionaries(st.sampled_from("vwx"), json_values))
def test_any_document_is_answered(query: str, variables: Any) -> None:
    try:
        body = json.dumps({"query": query, "variables": variables}, allow_nan=False)
    except ValueError:
        return
    _check(CLIENT.send(body.encode()))


@SETTINGS
@given(field=fields, value=json_values)
def test_any_value_of_a_variable_is_answered(field: str, value: Any) -> None:
    argument = field.partition("(")[2].partition(":")[0]
    query = f"query($v: {TYPES[argument]}) {{ {field} }}"
    _check(CLIENT.send(json.dumps({"query": query, "variables": {"v": value}}).encode()))


@SETTINGS
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    query_string=st.text(st.characters(max_codepoint=255), max_size=80)
    | st.dictionaries(st.sampled_from(["query", "variables", "operationName", "extensions"]), documents).map(
        lambda parameters: "&".join(f"{name}={value}" for name, value in parameters.items()).encode().decode("latin-1")
    ),
    content_type=header_texts | st.sampled_from(["application/json", "text/plain"]),
    encoding=st.none() | header_texts,
    length=st.none() | header_texts,
    accept=header_texts,
)
def test_any_headers_are_answered(
    method: str, query_string: str, content_type: str, encoding: str | None, length: str | None, accept: str
) -> None:
    environ = {
        "QUERY_STRING": query_string,
        "CONTENT_TYPE": content_type,
        "HTTP_ACCEPT": accept,
        **({} if encoding is None else {"HTTP_CONTENT_ENCODING": encoding}),
        **({} if length is None else {"CONTENT_LENGTH": length}),
    }
    body = b'{"query": "{ hello }"}'
    response = CLIENT.http.open("/graphql", method=method, data=body, environ_overrides=environ)
    if response.status_code == 204 or method == "HEAD":
        assert response.get_data() == b""
    else:
        _check(response)
