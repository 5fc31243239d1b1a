"""Automatic persisted queries: what is answered to a hash, with and without the text that it is of."""

from __future__ import annotations

import json
from collections.abc import Collection
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Request
from graphql_http_client import GRAPHQL_RESPONSE, Client, answered, refused
from werkzeug.test import TestResponse

from afterwrite.graphql_http import HttpRefusal, Limits
from afterwrite.graphql_http.persisted import MAX_CHARS, MAX_CHARS_EACH

HELLO = "query ($name: String) { hello(name: $name) }"


def extension(query: str, **changed: Any) -> dict[str, Any]:
    """What a client sends beside or in place of a query."""
    digest = sha256(query.encode()).hexdigest()
    return {"persistedQuery": {"version": 1, "sha256Hash": digest, **changed}}


def by_hash(client: Client, query: str, variables: Any = None, **parameters: Any) -> TestResponse:
    """Sends the hash of a query alone."""
    return client.post(None, variables, extensions=extension(query), **parameters)


def by_text(client: Client, query: str, variables: Any = None, **parameters: Any) -> TestResponse:
    """Sends a query with its hash."""
    return client.post(query, variables, extensions=extension(query), **parameters)


def by_get(client: Client, **parameters: Any) -> TestResponse:
    """Sends parameters in the URL, all but the query as JSON."""
    texts = {name: value if name == "query" else json.dumps(value) for name, value in parameters.items()}
    return client.http.get(f"/graphql?{urlencode(texts)}")


def test_a_hash_is_unknown_until_its_text_came_with_it() -> None:
    client = Client()
    error = refused(by_hash(client, HELLO), 200, "PERSISTED_QUERY_NOT_FOUND")
    assert error["message"] == "PersistedQueryNotFound"
    assert client.data(HELLO, {"name": "x"})
    refused(by_hash(client, HELLO), 200, "PERSISTED_QUERY_NOT_FOUND")  # a text without its hash is not kept
    assert answered(by_text(client, HELLO, {"name": "Ada"}), 200) == {"data": {"hello": "Hello Ada"}}
    assert answered(by_hash(client, HELLO, {"name": "Ben"}), 200) == {"data": {"hello": "Hello Ben"}}


def test_a_text_without_letters_of_ascii_alone_has_the_hash_of_its_utf_8() -> None:
    client = Client()
    query = '{ hello(name: "Zoë 🏊") } # é'
    assert answered(by_text(client, query), 200) == {"data": {"hello": "Hello Zoë 🏊"}}
    assert answered(by_hash(client, query), 200) == {"data": {"hello": "Hello Zoë 🏊"}}


def test_a_hash_works_by_get_and_by_post_alike() -> None:
    client = Client()
    refused(by_get(client, extensions=extension(HELLO)), 200, "PERSISTED_QUERY_NOT_FOUND")
    given = {"extensions": extension(HELLO), "variables": {"name": "Ada & +"}}
    assert answered(by_get(client, query=HELLO, **given), 200) == {"data": {"hello": "Hello Ada & +"}}
    assert answered(by_get(client, **given), 200) == {"data": {"hello": "Hello Ada & +"}}
    assert answered(by_hash(client, HELLO, {"name": "Ben"}), 200) == {"data": {"hello": "Hello Ben"}}


def test_a_mutation_is_not_run_by_get_by_its_hash_either() -> None:
    client = Client()
    mutation = 'mutation { rename(name: "x") { name } }'
    assert "data" in answered(by_text(client, mutation), 200)
    assert by_get(client, extensions=extension(mutation)).headers["Allow"] == "POST"
    refused(by_get(client, extensions=extension(mutation)), 405, "BAD_REQUEST")
    assert "data" in answered(by_hash(client, mutation), 200)


def test_an_unknown_hash_is_answered_as_each_media_type_has_it() -> None:
    client = Client()
    # Apollo's clients for mobile systems look at no answer but one with the status 200.
    refused(by_hash(client, HELLO, accept=GRAPHQL_RESPONSE), 200, "PERSISTED_QUERY_NOT_FOUND")
    stream = by_hash(client, "subscription { count(to: 1) }", accept="text/event-stream")
    assert stream.content_type.startswith("text/event-stream")
    event, complete, _ = stream.get_data(as_text=True).split("\n\n")
    data = json.loads(event.removeprefix("event: next\ndata: "))
    assert data["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    assert complete.startswith("event: complete")


def test_a_subscription_runs_by_its_hash() -> None:
    client = Client()
    query = "subscription { count(to: 2) }"
    texts = [send(client, query, accept="text/event-stream") for send in (by_text, by_hash)]
    assert texts[0].get_data() == texts[1].get_data()
    assert b'{"data":{"count":2}}' in texts[1].get_data()


def test_a_hash_that_is_of_another_text_is_refused_and_nothing_is_kept() -> None:
    client = Client()
    other = "{ item { name } }"
    error = refused(client.post(other, extensions=extension(HELLO)), 400, "PERSISTED_QUERY_HASH_MISMATCH")
    assert error["message"].startswith("provided sha does not match query")
    assert sha256(other.encode()).hexdigest() in error["message"]
    for query in (HELLO, other):
        refused(by_hash(client, query), 200, "PERSISTED_QUERY_NOT_FOUND")


@pytest.mark.parametrize("query", ["{ nothing }", "{ hello", "query A { hello } query B { hello }"])
def test_what_cannot_be_run_is_not_kept(query: str) -> None:
    client = Client()
    assert "data" not in answered(by_text(client, query), 200)
    refused(by_hash(client, query), 200, "PERSISTED_QUERY_NOT_FOUND")


def test_what_a_caller_may_not_run_is_not_kept_and_is_not_run_by_its_hash() -> None:
    def permit(http: Request, _kind: str, fields: Collection[str]) -> None:
        if "wrong" in fields and http.headers.get("X-User") != "ada":
            raise HttpRefusal(403, "Not for you.", "FORBIDDEN")

    client = Client(permit=permit)
    query = "{ wrong }"
    refused(by_text(client, query), 403, "FORBIDDEN")
    refused(by_hash(client, query), 200, "PERSISTED_QUERY_NOT_FOUND")
    body = json.dumps({"query": query, "extensions": extension(query)}).encode()
    assert "data" in answered(client.send(body, headers={"X-User": "ada"}), 200)
    refused(by_hash(client, query), 403, "FORBIDDEN")


@pytest.mark.parametrize(
    "persisted",
    [
        True,
        "x",
        [],
        {},
        {"version": 2, "sha256Hash": "a" * 64},
        {"version": 1},
        {"version": 1, "sha256Hash": None},
        {"version": 1, "sha256Hash": "a" * 63},
        {"version": 1, "sha256Hash": "g" * 64},
        {"version": 1, "sha256Hash": "a" * 64 + "\n"},
    ],
)
@pytest.mark.parametrize("query", [None, "{ hello }"])
def test_an_extension_of_another_form_is_refused(persisted: Any, query: str | None) -> None:
    response = Client().post(query, extensions={"persistedQuery": persisted})
    assert "persistedQuery" in refused(response, 400, "BAD_REQUEST")["message"]


def test_a_hash_may_have_capital_letters_and_other_extensions_are_left_alone() -> None:
    client = Client()
    capital = extension(HELLO, sha256Hash=sha256(HELLO.encode()).hexdigest().upper())
    assert "data" in answered(client.post(HELLO, extensions=capital), 200)
    assert "data" in answered(by_hash(client, HELLO), 200)
    for extensions in ({"persistedQuery": None}, {"clientLibrary": {"name": "x"}}):
        assert "data" in answered(client.post(HELLO, extensions=extensions), 200)
        refused(client.post(None, extensions=extensions), 400, "BAD_REQUEST")


def test_only_so_many_texts_are_kept_and_those_used_last() -> None:
    client = Client(limits=Limits(document_cache_size=3))
    queries = [f"{{ hello }} # {number}" for number in range(5)]
    for query in queries:
        by_text(client, query)
        assert "data" in answered(by_hash(client, queries[0]), 200)
    known = ["data" in answered(by_hash(client, query), 200) for query in queries]
    assert known == [True, False, False, True, True]


def test_what_the_texts_take_together_is_bounded() -> None:
    client = Client()
    queries = [
        f"{{ hello }} # {number} ".ljust(MAX_CHARS_EACH, "x") for number in range(MAX_CHARS // MAX_CHARS_EACH + 1)
    ]
    for query in [*queries, queries[0] + "x"]:
        assert "data" in answered(by_text(client, query), 200)
    for query in (queries[0], queries[0] + "x"):
        refused(by_hash(client, query), 200, "PERSISTED_QUERY_NOT_FOUND")
    assert "data" in answered(by_hash(client, queries[1]), 200)
