"""Error masking: a client sees the message and code of its own errors, and only an incident id of ours."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Sequence
from typing import Any

from graphql import FieldNode, GraphQLError

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
BAD_USER_INPUT = "BAD_USER_INPUT"
BAD_REQUEST = "BAD_REQUEST"
INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"
TOO_MANY_STREAMS = "TOO_MANY_STREAMS"

# A message may quote the document, and a document may hold one name of many thousand letters.
MAX_MESSAGE_LENGTH = 2_000

logger = logging.getLogger(__name__)
_SUGGESTION = re.compile(r" Did you mean [^?]*\?")


class RequestError(Exception):
    """An error that the client caused and may read; every other exception is masked.

    Raise it in a resolver, in `subscribe_x`, or in the function that makes the context.

    Args:
        message: what happened, the value, and what to do.
        code: goes into `extensions.code`.
        extensions: further entries of `extensions`; their values must be ready for JSON.
    """

    def __init__(self, message: str, code: str = BAD_USER_INPUT, **extensions: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.extensions = {"code": code, **extensions}


class HttpRefusal(Exception):
    """A request that is refused before execution, with the same status for every media type."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str = BAD_REQUEST,
        headers: tuple[tuple[str, str], ...] = (),
        **extensions: Any,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers
        self.error = {"message": message, "extensions": {"code": code, **extensions}}


class GraphQLRefusal(Exception):
    """A well-formed request that cannot be executed: its document, operation or variables are wrong.

    `errors` are ready for JSON. Without a `status`, the media type of the response decides it.
    """

    def __init__(self, errors: list[dict[str, Any]], status: int | None = None) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors
        self.status = status


def coded(error: GraphQLError, code: str, *, hide_suggestions: bool = False) -> dict[str, Any]:
    """Returns `error` ready for JSON, with `code` unless it has a code of its own."""
    formatted: dict[str, Any] = {**error.formatted}
    message = formatted["message"]
    if hide_suggestions:
        message = _SUGGESTION.sub("", message)
    if len(message) > MAX_MESSAGE_LENGTH:
        message = message[:MAX_MESSAGE_LENGTH] + "…"
    formatted["message"] = message
    formatted["extensions"] = {"code": code, **formatted.get("extensions", {})}
    return formatted


def presentable(
    errors: Sequence[GraphQLError], max_errors: int, *, hide_suggestions: bool = False
) -> list[dict[str, Any]]:
    """Returns the errors of one execution ready for JSON: at most `max_errors`, and one entry for the rest.

    Errors that the client did not cause are logged with their traceback under one incident id per response, once for
    each field and type of exception; the client sees only the id.
    """
    incident = ""
    logged: set[tuple[Any, ...]] = set()
    entries = []
    for error in errors[:max_errors]:
        cause = _cause(error)
        if _is_for_the_client(error, cause):
            entries.append(coded(error, BAD_USER_INPUT, hide_suggestions=hide_suggestions))
            continue
        incident = incident or new_incident()
        field = ".".join(step for step in error.path or () if isinstance(step, str))
        if (field, type(cause)) not in logged:
            logged.add((field, type(cause)))
            logger.error("incident %s: field %s failed: %s", incident, field, cause, exc_info=cause)
        entries.append(masked(incident, error))
    if len(errors) > max_errors:
        rest = len(errors) - max_errors
        code = BAD_USER_INPUT if not incident else INTERNAL_SERVER_ERROR
        entries.append({"message": f"{rest} more errors are not shown.", "extensions": {"code": code}})
    return entries


def masked(incident: str, error: GraphQLError | None = None) -> dict[str, Any]:
    """Returns an internal error as the client sees it: its location and the incident id."""
    entry: dict[str, Any] = {"message": "Internal server error"}
    if error is not None:
        located = error.formatted
        entry.update({key: located[key] for key in ("locations", "path") if key in located})
    entry["extensions"] = {"code": INTERNAL_SERVER_ERROR, "incident": incident}
    return entry


def new_incident() -> str:
    """Returns an id that links a masked error to its traceback in the log."""
    return secrets.token_hex(6)


def _cause(error: GraphQLError) -> Exception:
    cause: Exception = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _is_for_the_client(error: GraphQLError, cause: Exception) -> bool:
    if isinstance(cause, RequestError) or error.path is None:
        return True
    if not isinstance(cause, GraphQLError):
        return False
    if cause.extensions and "code" in cause.extensions:
        return True
    # graphql-core blames an argument, a variable or a directive when a client's value did not fit, the field
    # or nothing when the server's own value did not.
    return cause.nodes is not None and not isinstance(cause.nodes[0], FieldNode)
