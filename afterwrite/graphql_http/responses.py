"""The HTTP responses of a GraphQLView, and their JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson
from flask import Request, Response
from werkzeug.datastructures import Headers

from afterwrite.graphql_http.accept import EVENT_STREAM, GRAPHQL_RESPONSE, HTML, JSON, negotiate
from afterwrite.graphql_http.errors import HttpRefusal, masked, new_incident
from afterwrite.graphql_http.streams import COMPLETE, next_event

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)

_CONTENT_TYPES = {name: f"{name}; charset=utf-8" for name in (JSON, GRAPHQL_RESPONSE, EVENT_STREAM, HTML)}
_encode_slowly = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
_ONLY_JSON = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def answer_refusal(http: Request, refusal: HttpRefusal) -> Response:
    """Returns the response to a request that was refused before it reached the view."""
    media_type = negotiate(http.environ.get("HTTP_ACCEPT"), html=False)
    return respond_json(refusal.status, [refusal.error], media_type, refusal.headers)


def respond_with_stream(chunks: Iterable[bytes]) -> Response:
    """Returns the response with these chunks of an event stream."""
    response = respond(200, b"", EVENT_STREAM)
    response.response = chunks
    response.headers.remove("Content-Length")
    response.headers["X-Accel-Buffering"] = "no"  # stops nginx from buffering events
    return response


def encoded(answer: Mapping[str, Any] | list[dict[str, Any]]) -> bytes:
    """Returns the JSON of an answer; that of a masked error if it cannot be encoded."""
    try:
        return orjson.dumps(answer, option=_ONLY_JSON)
    except TypeError:  # what only the standard library encodes: big integers, subclasses of str, half surrogate pairs
        try:
            return _encode_slowly(answer).encode("ascii")
        except (TypeError, ValueError, RecursionError):
            incident = new_incident()
            logger.exception("incident %s: the response cannot be encoded as JSON", incident)
            return orjson.dumps({"errors": [masked(incident)], "data": None})


def not_acceptable(environ: Mapping[str, Any]) -> HttpRefusal:
    """Returns the refusal of a request whose Accept names no media type of ours."""
    found = str(environ.get("HTTP_ACCEPT"))[:200]
    return HttpRefusal(
        406, f"Accept is '{found}', which is not supported. Accept {JSON}, {GRAPHQL_RESPONSE} or {EVENT_STREAM}."
    )


def refusal_status(media_type: str | None) -> int:
    """Returns the status for a well-formed request that cannot be executed; older clients expect 200."""
    return 400 if media_type == GRAPHQL_RESPONSE else 200


def refuse(errors: list[dict[str, Any]], media_type: str | None, status: int | None = None) -> Response:
    """Returns the response to a request that was not executed: JSON, or the one event of a stream."""
    if media_type == EVENT_STREAM:
        body = next_event(encoded({"errors": errors})) + COMPLETE
        return respond(200, body, EVENT_STREAM)
    return respond_json(status or refusal_status(media_type), errors, media_type)


def respond_json(
    status: int, errors: list[dict[str, Any]], media_type: str | None, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """Returns the JSON response with these errors and no data."""
    given = GRAPHQL_RESPONSE if media_type == GRAPHQL_RESPONSE else JSON
    return respond(status, encoded({"errors": errors}), given, headers)


def respond(status: int, body: bytes, media_type: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Returns the response with this body."""
    fields = [
        ("Content-Type", _CONTENT_TYPES[media_type]),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
        *headers,
    ]
    return _WholeResponse([body], status, _Fields(fields), direct_passthrough=True)


class _Fields(Headers):
    """Headers of our own making: no name and no value needs a check."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._list = fields


class _WholeResponse(Response):
    """A response whose body is one piece and whose headers are complete: the server gets both as they are."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not isinstance(self.response, list) or environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return self.response
