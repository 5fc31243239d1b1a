"""Reads what a request gives: a JSON body, the parameters of the URL, an idempotency key; or refuses it."""

import json
import re
from collections.abc import Iterator, Mapping
from math import isinf
from typing import Any

from flask import Request

from graphql_http.body import BodyBroken, BodyTooLong, read_body
from rest_api.problems import Problem

DEPTH_MAX = 100
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
# An escape is the only way for these to get into a text: look before looking closely.
_MAY_BE_UNUSABLE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")


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

    Raises Problem as ``raw_body`` does; for what is not JSON, as names given twice and NaN are not; and for texts
    with a NUL or half of a surrogate pair, which cannot be stored.
    """
    body = raw_body(request, max_bytes)
    try:
        text = str(body, "utf-8")
        value = _decoder.decode(text)
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # JSONDecodeError is one, so is a number that is too long
        what = "empty" if not body else f"not valid JSON: {error}"
        raise _malformed(f'The body is {what}. Send a JSON object such as {{"title": "Lamp"}}') from error
    if text.count("[") + text.count("{") > DEPTH_MAX and _is_deep(value):
        raise _too_deep()
    if _MAY_BE_UNUSABLE.search(text) and any(map(_UNUSABLE.search, _texts(value))):
        detail = "A text in the body holds a NUL (\\u0000) or half of a surrogate pair: remove it"
        raise Problem(422, "INVALID_TEXT", detail)
    return value


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
    """The key of a request that may be sent again."""
    return request.headers.get("Idempotency-Key")


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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError(f"an object has the name {_repeated(pairs)[:60]!r} twice")
    return made


def _repeated(pairs: list[tuple[str, Any]]) -> str:
    seen = set()
    for name, _ in pairs:
        if name in seen:
            break
        seen.add(name)
    return name


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError(f"the number {text[:60]} is too large")
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite)


def _malformed(detail: str) -> Problem:
    return Problem(400, "MALFORMED_JSON", detail)


def _too_deep() -> Problem:
    return _malformed(f"The body nests lists or objects more than {DEPTH_MAX} deep: make it flatter")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        level = [node for node in level if isinstance(node, dict | list)]
        if not level:
            return False
        level = [child for node in level for child in _children(node)]
    return True


def _texts(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict | list):
            stack.extend(_children(node))
            if isinstance(node, dict):
                stack.extend(node)


def _children(node: dict[str, Any] | list[Any]) -> Iterator[Any]:
    return iter(node.values() if isinstance(node, dict) else node)
