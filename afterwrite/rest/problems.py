"""Maps exceptions to RFC 9457 problems: https://www.rfc-editor.org/rfc/rfc9457."""

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from flask import Response
from werkzeug.exceptions import HTTPException

from afterwrite.base.refusals import Refused
from afterwrite.base.store_errors import StoreError, log_and_redact
from afterwrite.graphql_http import HttpRefusal, RequestError

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5

_log = logging.getLogger("afterwrite.rest")
_STATUS_OF = {  # by code of the refusal; 422 for all others
    "TASK_NOT_FOUND": 404,
    "TASK_NOT_CANCELLABLE": 409,
    "TASK_NOT_RETRYABLE": 409,
    "MOVE_NOT_ALLOWED": 409,
    "TASK_LOCKED": 409,
    "QUEUE_FULL": 503,
    "SHUTTING_DOWN": 503,
    "JOURNAL_UNWRITABLE": 503,
}
_CODE_OF = {400: "BAD_REQUEST", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


class ProblemDetails(Exception):
    """An RFC 9457 problem as an exception.

    Each of ``errors`` has ``detail`` and one of ``pointer`` (into the body, RFC 6901 as a URI fragment), ``parameter``
    (of the URL) and ``header``. ``extensions`` are further members of the response.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Sequence[tuple[str, str]] = (),
        **extensions: str,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.headers, self.extensions = errors, headers, extensions

    def answer(self) -> Response:
        """The problem as an HTTP response."""
        members: dict[str, Any] = {
            "type": "about:blank",  # status and code tell problems apart
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.extensions,
        }
        if self.errors:
            members["errors"] = [dict(error) for error in self.errors]
        answer = json_answer(members, self.status, PROBLEM_TYPE)
        answer.headers.extend(self.headers)
        return answer


def json_answer(value: Any, status: int = 200, content_type: str = "application/json") -> Response:
    """A response with a JSON body."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Response(text.encode(), status, content_type=content_type)


def problem_of(error: Exception, pointers: Mapping[str, str] = MappingProxyType({})) -> ProblemDetails:
    """The problem for an exception; an unexpected one is logged with an incident id.

    ``pointers`` maps the arguments of a refused task or write to their places in the body.
    """
    match error:
        case ProblemDetails():
            return error
        case HttpRefusal():
            return ProblemDetails(error.status, error.code, error.message, headers=error.headers)
        case Refused():
            return _refused(error, pointers)
        case RequestError():
            return _wrong_request(error)
        case StoreError():
            return ProblemDetails(503, "DATABASE_UNAVAILABLE", log_and_redact(error), headers=_try_again())
        case HTTPException(code=int(status)) if status < 500:
            return _http_problem(error, status)
    incident = secrets.token_hex(6)
    _log.error("incident %s: a REST request failed", incident, exc_info=error)
    detail = f"Internal server error: the log has the reason under the incident {incident}"
    return ProblemDetails(500, "INTERNAL_SERVER_ERROR", detail, incident=incident)


def _refused(error: Refused, pointers: Mapping[str, str]) -> ProblemDetails:
    code = error.problems[0].code
    status = _STATUS_OF.get(code, 422)
    places: list[dict[str, str]] = []
    for field, detail, _code in error.problems:
        head, *rest = field or [""]
        if head == "idempotencyKey":
            places.append({"header": "Idempotency-Key", "detail": detail})
        elif head in pointers:
            places.append({"pointer": pointer_to(pointers[head], rest), "detail": detail})
    return ProblemDetails(status, code, error.message, places, _try_again() if status == 503 else ())


def _wrong_request(error: RequestError) -> ProblemDetails:
    """The problem for parameters that a read refuses."""
    if error.code == "WRITE_PENDING":
        return ProblemDetails(503, error.code, error.message, headers=_try_again())
    field = error.extensions.get("field")
    places = [] if field is None else [{"parameter": field, "detail": error.message}]
    return ProblemDetails(422, "INVALID_REQUEST", error.message, places)


def pointer_to(start: str, path: Sequence[str | int]) -> str:
    """The JSON Pointer to a place below ``start``, both as URI fragments such as ``#/payload/products/0``."""
    steps = (quote(str(step).replace("~", "~0").replace("/", "~1"), safe="~") for step in path)
    return "/".join([start, *steps])


def _try_again() -> Sequence[tuple[str, str]]:
    return (("Retry-After", str(RETRY_AFTER_SECONDS)),)


def _http_problem(error: HTTPException, status: int) -> ProblemDetails:
    code = _CODE_OF.get(status, HTTPStatus(status).name)
    kept = [pair for pair in error.get_headers() if pair[0].lower() not in ("content-type", "content-length")]
    return ProblemDetails(status, code, error.description or error.name, headers=kept)
