"""Reads what a request gives: a JSON body, the parameters of the URL, an idempotency key; or refuses it."""

import re
from collections.abc import Mapping
from typing import Any

from flask import Request
from jsonschema import Draft202012Validator

from afterwrite.graphql_http import strict_json
from afterwrite.graphql_http.body import BodyBroken, BodyTooLong, read_body
from afterwrite.rest.problems import Problem
from afterwrite.rest.schemas import IDEMPOTENCY_KEY

_IDEMPOTENCY_KEY = Draft202012Validator(IDEMPOTENCY_KEY)
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


def raw_body(request: Request, max_bytes: int) -> bytes:
    """The bytes of a body that is JSON by its headers, all of them. Raises Problem (400, 413, 415)."""
    _check_content_type(request)
    try:
        return read_body(request.environ, max_bytes)
    except BodyTooLong as error:
        detail = f"The body has {error}, and {max_bytes} is the limit (MAX_BODY_BYTES): send less"
        raise Problem(413, "BODY_TOO_LARGE", detail) from error
    except BodyBroken as error:
        raise Problem(400, "BAD_REQUEST", f"{error}: send it again") from error


def json_body(request: Request, max_bytes: int) -> Any:
    """The value of a JSON body.

    Raises Problem as ``raw_body`` does, and for what ``strict_json`` refuses.
    """
    body = raw_body(request, max_bytes)
    try:
        return strict_json.decode(str(body, "utf-8"))
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is not UTF-8: {error.reason} at byte {error.start}") from error
    except strict_json.JsonRefused as error:
        if error.is_text:
            raise Problem(422, "INVALID_TEXT", f"The body is refused: {error}") from error
        raise _malformed(f'The body is {error}. Send a JSON object such as {{"title": "Lamp"}}') from error


def parameters(request: Request, schemas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The known parameters of the URL, whole numbers as such where the schema wants them; others are let pass.

    Raises Problem for one that is given twice.
    """
    found: dict[str, Any] = {}
    for name, schema in schemas.items():
        given = request.args.getlist(name)
        if len(given) > 1:
            detail = f"{name} is given {len(given)} times: give it once"
            raise Problem(422, "INVALID_REQUEST", detail, [{"parameter": name, "detail": detail}])
        if given:
            is_number = schema["type"] == "integer" and _WHOLE_NUMBER.fullmatch(given[0])
            found[name] = int(given[0]) if is_number else given[0]
        elif "default" in schema:
            found[name] = schema["default"]
    return found


def idempotency_key(request: Request) -> str | None:
    """The key of a request that may be sent again. Raises Problem for one that a header cannot carry as it is."""
    key = request.headers.get("Idempotency-Key")
    if key is None or _IDEMPOTENCY_KEY.is_valid(key):
        return key
    # Some servers hand a value that is not ASCII over as if it were empty.
    found = f"has {len(key)} characters" if key else "is empty or not ASCII"
    detail = f"Idempotency-Key {found}: give {IDEMPOTENCY_KEY['title']}"
    raise Problem(422, "INVALID_ARGUMENT", detail, [{"header": "Idempotency-Key", "detail": detail}])


def _check_content_type(request: Request) -> None:
    """A page of another site can post a form or plain text without asking, but not JSON."""
    given = request.headers.get("Content-Type", "")
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset not in ("utf-8", "utf8"):
        found = f"{given[:100]!r}" if given else "missing"
        detail = f"The Content-Type is {found}: send application/json in UTF-8"
        raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", detail, headers=[("Accept", "application/json")])
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        detail = f"A body in the Content-Encoding {encoding[:100]!r} is not read: send it as it is"
        raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", detail, headers=[("Accept-Encoding", "identity")])


def _malformed(detail: str) -> Problem:
    return Problem(400, "MALFORMED_JSON", detail)
