"""Reads the parameters of a GraphQL request from an HTTP request."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from afterwrite.graphql_http.body import BodyBroken, BodyTooLong, read_body
from afterwrite.graphql_http.errors import HttpRefusal
from afterwrite.graphql_http.strict_json import DEPTH_MAX, finite, is_deep, refuse_constant

MAX_URL_PARAMETERS = 20
_SHA256 = re.compile("[0-9a-fA-F]{64}")
_KINDS = {
    "query": (str, "a string"),
    "variables": (dict, "an object or null"),
    "operationName": (str, "a string or null"),
    "extensions": (dict, "an object or null"),
}
_JSON_CONTENT_TYPES = frozenset({"application/json", "application/json; charset=utf-8"})


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a well-formed request, not checked against a schema.

    `query` may be None if there is a `sha256`, 64 hexadecimal digits: that of a document sent before.
    """

    query: str | None
    variables: dict[str, Any]
    operation_name: str | None
    sha256: str | None


def read_post(environ: Mapping[str, Any], max_body_bytes: int) -> Parameters:
    """Returns the parameters in the JSON body of a POST request.

    Raises:
        HttpRefusal: 415 for a Content-Type other than JSON, 413 over `max_body_bytes`, 400 for anything else.
    """
    _check_content_type(environ.get("CONTENT_TYPE", ""))
    encoding = environ.get("HTTP_CONTENT_ENCODING", "identity")
    if encoding.strip().lower() != "identity":
        raise HttpRefusal(415, f"The Content-Encoding '{encoding[:100]}' is not supported. Send the body unencoded.")
    try:
        body = read_body(environ, max_body_bytes)
    except BodyTooLong as error:
        message = f"The body has {error}; the limit is {max_body_bytes} bytes (MAX_BODY_BYTES). Send it in parts."
        raise HttpRefusal(413, message, limit="max_body_bytes", maximum=max_body_bytes) from None
    except BodyBroken as error:
        raise HttpRefusal(400, f"{error}. Send it again.") from error
    if not body:
        raise HttpRefusal(400, 'The body is empty. Send JSON such as {"query": "{ __typename }"}.')
    try:
        text = str(body, "utf-8")
    except UnicodeDecodeError as error:
        raise HttpRefusal(400, f"The body is not UTF-8: {error.reason} at byte {error.start}.") from None
    return parameters_of(_parse_json(text, "The body"))


def read_get(environ: Mapping[str, Any]) -> Parameters:
    """Returns the parameters in the URL of a GET request.

    Raises:
        HttpRefusal: 400 if they are malformed.
    """
    try:
        text = environ.get("QUERY_STRING", "").encode("latin-1").decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_URL_PARAMETERS)
    except ValueError as error:  # also UnicodeDecodeError and too many parameters
        raise HttpRefusal(400, f"The parameters in the URL cannot be read: {error}.") from None
    parameters: dict[str, Any] = {}
    for name, value in pairs:
        if name in parameters:
            raise HttpRefusal(400, f"The URL has the parameter '{name[:100]}' twice. Send it once.")
        parameters[name] = value
    for name in ("variables", "extensions"):
        value = parameters.get(name)
        if value is not None:
            parameters[name] = _parse_json(value, f"The parameter '{name}'") if value else None
    return parameters_of(parameters)


def read_message(text: bytes) -> dict[str, Any]:
    """Returns a message of a WebSocket, a JSON object.

    Raises:
        HttpRefusal: it is not one.
    """
    try:
        value = _parse_json(str(text, "utf-8"), "The message")
    except UnicodeDecodeError as error:
        raise HttpRefusal(400, f"The message is not UTF-8: {error.reason} at byte {error.start}.") from None
    if type(value) is not dict:
        raise HttpRefusal(400, f"The message is {_kind(value)}; send a JSON object.")
    return value


def _check_content_type(header: str) -> None:
    if header in _JSON_CONTENT_TYPES:
        return
    name, *parameters = header.lower().split(";")
    if name.strip() != "application/json":
        found = f"'{header[:100]}'" if header else "missing"
        raise HttpRefusal(415, f"The Content-Type is {found}; send application/json.")
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "charset" and value.strip(' "') not in ("utf-8", "utf8"):
            raise HttpRefusal(415, f"The charset '{value[:100]}' is not supported; send UTF-8.")


def _parse_json(text: str, what: str) -> Any:
    try:
        value = _decoder.decode(text)
        # Only an escaped surrogate can be a lone one; the cheap test spares most texts the encoding.
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise _too_deep(what) from None
    except UnicodeEncodeError:
        raise HttpRefusal(400, f"{what} has half of a surrogate pair, which is not a character.") from None
    except ValueError as error:  # also JSONDecodeError and a number that is too long
        raise HttpRefusal(400, f"{what} is not valid JSON: {error}.") from None
    if is_deep(text, value):
        raise _too_deep(what)
    return value


def _too_deep(what: str) -> HttpRefusal:
    return HttpRefusal(400, f"{what} nests lists or objects more than {DEPTH_MAX} deep.")


_decoder = json.JSONDecoder(parse_constant=refuse_constant, parse_float=finite)


def parameters_of(value: Any) -> Parameters:
    """Returns the parameters in a JSON value. Raises HttpRefusal, 400, if they are malformed."""
    if type(value) is not dict:
        if type(value) is list:
            raise HttpRefusal(400, "The body is a list; batches are not supported. Send one request at a time.")
        raise HttpRefusal(400, f"The body is {_kind(value)}; send a JSON object.")
    for name, (kind, wanted) in _KINDS.items():
        given = value.get(name)
        if given is not None and type(given) is not kind:
            raise HttpRefusal(400, f"The parameter '{name}' is {_kind(given)}; send {wanted}.")
    query, extensions = value.get("query"), value.get("extensions")
    digest = _persisted(extensions.get("persistedQuery")) if extensions else None
    if query is None and digest is None:
        raise HttpRefusal(400, "The parameter 'query' is missing. Send the text of a GraphQL document.")
    return Parameters(query, value.get("variables") or {}, value.get("operationName") or None, digest)


def _persisted(value: Any) -> str | None:
    if value is None:
        return None
    what = "The extension 'persistedQuery'"
    if type(value) is not dict:
        raise HttpRefusal(400, f'{what} is {_kind(value)}; send {{"version": 1, "sha256Hash": "…"}}.')
    if value.get("version") != 1:
        raise HttpRefusal(400, f"{what} has a version other than 1, the only one supported.")
    digest = value.get("sha256Hash")
    if type(digest) is not str or not _SHA256.fullmatch(digest):
        raise HttpRefusal(400, f"{what} has a sha256Hash that is not 64 hexadecimal digits.")
    return digest.lower()


def _kind(value: Any) -> str:
    kinds = {bool: "a boolean", str: "a string", list: "a list", dict: "an object", type(None): "null"}
    return kinds.get(type(value), "a number")
