"""What clients see of errors, and what only the log has."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import abort
from graphql_http_client import GRAPHQL_RESPONSE, Client, answered, refused
from graphql_http_site import make_app

from afterwrite.graphql_http import Limits, RequestError


@pytest.fixture(scope="module")
def client() -> Client:
    return Client()


def _only_error(client: Client, query: str, data: Any) -> dict[str, Any]:
    answer = answered(client.post(query, accept=GRAPHQL_RESPONSE), 200)
    assert answer["data"] == data
    [error] = answer["errors"]
    assert isinstance(error, dict)
    return error


def test_a_request_error_is_shown_with_its_code_and_fields(client: Client) -> None:
    error = _only_error(client, "{ refused hello }", {"refused": None, "hello": "Hello you"})
    assert error == {
        "message": "The name 'x' is taken. Choose another.",
        "locations": [{"line": 1, "column": 3}],
        "path": ["refused"],
        "extensions": {"code": "NAME_TAKEN", "name": "x"},
    }


def test_the_code_of_a_request_error_is_bad_user_input_by_default() -> None:
    assert RequestError("no").extensions == {"code": "BAD_USER_INPUT"}


@pytest.mark.parametrize("field", ["wrong", "bareError", "badInt", "item { needed }"])
def test_any_other_exception_is_masked_and_logged(client: Client, field: str, caplog: pytest.LogCaptureFixture) -> None:
    name = field.split(" ")[0]
    with caplog.at_level(logging.ERROR):
        error = _only_error(client, f"{{ {field} }}", {name: None})
    assert error["message"] == "Internal server error"
    assert error["path"][0] == name
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    [record] = caplog.records
    assert error["extensions"]["incident"] in record.getMessage()
    assert record.exc_info
    assert record.exc_info[2] is not None
    assert "secret" not in str(error)


def test_a_graphql_error_with_a_code_of_its_own_is_shown(client: Client) -> None:
    error = _only_error(client, "{ codedError }", {"codedError": None})
    assert (error["message"], error["extensions"]["code"]) == ("not a secret", "MINE")


def test_an_argument_that_does_not_fit_at_run_time_is_the_clients(client: Client) -> None:
    query = 'query($text: String = "a") { required(text: $text) }'
    answer = answered(client.post(query, {"text": None}), 200)
    assert answer["data"] == {"required": None}
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_what_json_cannot_hold_is_masked(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    answer = answered(client.post("{ notJson }"), 200)
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["incident"] in caplog.text


def test_one_failing_field_in_many_rows_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(limits=Limits(max_errors=5))
    answer = answered(client.post("{ items(first: 20) { needed } }"), 200)
    assert len(answer["errors"]) == 6
    assert answer["errors"][-1]["message"] == "15 more errors are not shown."
    assert len({error["extensions"].get("incident") for error in answer["errors"][:-1]}) == 1
    assert len(caplog.records) == 1


def test_the_number_of_validation_errors_is_limited() -> None:
    client = Client(limits=Limits(max_errors=3))
    answer = answered(client.post("{ " + " ".join(f"x{n}" for n in range(20)) + " }"), 200)
    assert len(answer["errors"]) == 4


def test_an_error_does_not_echo_a_huge_name(client: Client) -> None:
    error = refused(client.post("{ " + "x" * 100_000 + " }"), 200, "GRAPHQL_VALIDATION_FAILED")
    assert len(error["message"]) < 2_100


def test_the_context_may_refuse_a_request() -> None:
    def refuse(_http: Any) -> None:
        raise RequestError("Who are you?", "UNAUTHENTICATED")

    client = Client(context=refuse)
    refused(client.post("{ hello }"), 200, "UNAUTHENTICATED")
    refused(client.post("{ hello }", accept=GRAPHQL_RESPONSE), 400, "UNAUTHENTICATED")


def test_an_abort_of_the_context_is_answered_in_json() -> None:
    client = Client(context=lambda _http: abort(403))
    refused(client.post("{ hello }"), 403, "BAD_REQUEST")


def test_a_context_that_breaks_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(context=lambda http: http.environ["a secret"])
    error = refused(client.post("{ hello }"), 500, "INTERNAL_SERVER_ERROR")
    assert error["extensions"]["incident"] in caplog.text
    assert "secret" not in str(error)


@pytest.mark.parametrize("query", ["{ __schema { types { name } } }", '{ __type(name: "Item") { name } }'])
def test_introspection_can_be_turned_off(query: str) -> None:
    client = Client(introspection=False)
    refused(client.post(query), 200, "GRAPHQL_VALIDATION_FAILED")
    assert client.data("{ __typename }") == {"__typename": "Query"}


def test_without_introspection_nothing_is_suggested(client: Client) -> None:
    silent = Client(introspection=False)
    colour = "query($c: Colour) { echo(colour: $c) }"
    wrong_field = "query($f: Filter) { echo(filter: $f) }"
    for query, variables in [
        ("{ helo }", None),
        ("{ hello(nam: 1) }", None),
        (colour, {"c": "REDD"}),
        (wrong_field, {"f": {"tex": 1}}),
    ]:
        open_answer = answered(client.post(query, variables), 200)
        assert "Did you mean" in open_answer["errors"][0]["message"]
        assert "Did you mean" not in silent.post(query, variables).get_data(as_text=True)


def test_without_introspection_there_is_no_graphiql() -> None:
    app = make_app(graphiql=True, introspection=False)
    response = app.test_client().get("/graphql", headers={"Accept": "text/html"})
    refused(response, 406, "BAD_REQUEST")
