"""Sends GraphQL requests to the small site without a socket, and looks at the answers as every test must."""

from __future__ import annotations

import json
from typing import Any

from flask.testing import FlaskClient
from graphql_http_site import make_app
from werkzeug.test import TestResponse

GRAPHQL_RESPONSE = "application/graphql-response+json"


class Client:
    """One application with options of its own."""

    def __init__(self, **options: Any) -> None:
        self.http: FlaskClient = make_app(**options).test_client()

    def post(self, query: Any, variables: Any = None, **parameters: Any) -> TestResponse:
        """Sends a POST request with these parameters as JSON."""
        accept = parameters.pop("accept", "application/json")
        body = {"query": query, "variables": variables, **parameters}
        return self.send(json.dumps(body).encode(), headers={"Accept": accept})

    def send(self, body: bytes, content_type: str = "application/json", **options: Any) -> TestResponse:
        """Sends a POST request with this body."""
        return self.http.post("/graphql", data=body, content_type=content_type, **options)

    def data(self, query: str, variables: Any = None) -> Any:
        """Returns the data of an answer that must have no errors."""
        answer = answered(self.post(query, variables), 200)
        assert "errors" not in answer, answer
        return answer["data"]


def answered(response: TestResponse, status: int) -> dict[str, Any]:
    """Returns the JSON of an answer with this status."""
    assert response.status_code == status, response.get_data(as_text=True)
    assert response.content_type.startswith(("application/json", GRAPHQL_RESPONSE))
    answer: dict[str, Any] = json.loads(response.get_data())
    for error in answer.get("errors", ()):
        assert error["message"]
        assert error["extensions"]["code"]
    return answer


def refused(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """Returns the first error of an answer that has only errors, the first of them with this code."""
    answer = answered(response, status)
    assert list(answer) == ["errors"], answer
    error: dict[str, Any] = answer["errors"][0]
    assert error["extensions"]["code"] == code, error
    return error
