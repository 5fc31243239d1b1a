"""Reads and validates a request: its JSON body, query parameters and idempotency key."""

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from flask import Request, request

from afterwrite.access.caller import current_caller
from afterwrite.base.json_schema import Validator
from afterwrite.graphql_http import strict_json
from afterwrite.graphql_http.body import BodyBroken, BodyTooLong, read_body
from afterwrite.rest.checking import Check
from afterwrite.rest.problems import ProblemDetails
from afterwrite.rest.schemas import IDEMPOTENCY_KEY, Schema
from afterwrite.service.context import Context
from afterwrite.service.service import Service

_IDEMPOTENCY_KEY = Validator(IDEMPOTENCY_KEY)
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
JSON = "application/json"


class Given:
    """The input of one route; reads and validates each part on request. Raises ProblemDetails."""

    def __init__(
        self,
        service: Service,
        document: bytes,
        body: Schema,
        query: Mapping[str, Schema],
        media: Sequence[str] = (JSON,),
    ) -> None:
        """``document`` is the OpenAPI document; ``body``, ``query`` and ``media`` are what the route takes."""
        self.service, self.document, self._media = service, document, media
        self._max_bytes = service.settings.max_body_bytes
        self._body, self._query = Check(body), query
        self._parameters = Check({"properties": query}, "parameter")

    @property
    def by(self) -> str | None:
        """The name of the caller, None if it is anonymous."""
        return current_caller().name

    def context(self) -> Context:
        """The context of the request, whose waits together take WAIT_SECONDS at most."""
        return self.service.context(self.by, lambda: request.host_url.rstrip("/"))

    def raw_body(self) -> bytes:
        """The whole body, if its Content-Type is JSON (400, 413, 415)."""
        _check_content_type(request, self._media)
        try:
            return read_body(request.environ, self._max_bytes)
        except BodyTooLong as error:
            detail = f"The body has {error}, the limit is {self._max_bytes} (MAX_BODY_BYTES): send less"
            raise ProblemDetails(413, "BODY_TOO_LARGE", detail) from error
        except BodyBroken as error:
            raise ProblemDetails(400, "BAD_REQUEST", f"{error}: send it again") from error

    def body(self) -> Any:
        """The value of the JSON body, validated against the schema."""
        raw = self.raw_body()
        try:
            body = strict_json.decode(str(raw, "utf-8"))
        except UnicodeDecodeError as error:
            raise _malformed(f"The body is not UTF-8: {error.reason} at byte {error.start}") from error
        except strict_json.JsonRefused as error:
            if error.is_text:
                raise ProblemDetails(422, "INVALID_TEXT", f"The body is refused: {error}") from error
            raise _malformed(f'The body is {error}. Send a JSON object such as {{"title": "Lamp"}}') from error
        self._body.check(body)
        return body

    def require_known(self) -> None:
        """Refuse parameters that the route does not have (422), such as a filter that is not declared."""
        unknown = [name for name in request.args if name not in self._query]
        if unknown:
            errors = [{"parameter": name, "detail": "is not a parameter"} for name in unknown]
            detail = f"{unknown[0][:60]} is not a parameter: give only {', '.join(self._query)}"
            raise ProblemDetails(422, "UNKNOWN_PARAMETER", detail, errors)

    def parameters(self) -> dict[str, Any]:
        """The known query parameters, converted to the types of their schemas; unknown ones are ignored."""
        found: dict[str, Any] = {}
        for name, schema in self._query.items():
            given = request.args.getlist(name)
            if given and schema["type"] == "array":
                found[name] = [_parsed(text, schema["items"]["type"]) for text in given]
            elif len(given) > 1:
                detail = f"{name} is given {len(given)} times: give it once"
                raise ProblemDetails(422, "INVALID_REQUEST", detail, [{"parameter": name, "detail": detail}])
            elif given:
                found[name] = _parsed(given[0], schema["type"])
            elif "default" in schema:
                found[name] = schema["default"]
        self._parameters.check(found)
        return found

    def idempotency_key(self) -> str | None:
        """The Idempotency-Key header; a key that headers cannot carry unchanged is refused."""
        key = request.headers.get("Idempotency-Key")
        if key is None or _IDEMPOTENCY_KEY.main_error(key) is None:
            return key
        # Some servers pass a value that is not ASCII as an empty one.
        found = f"has {len(key)} characters" if key else "is empty or not ASCII"
        detail = f"Idempotency-Key {found}: give {IDEMPOTENCY_KEY['title']}"
        raise ProblemDetails(422, "INVALID_ARGUMENT", detail, [{"header": "Idempotency-Key", "detail": detail}])


def _parsed(text: str, kind: str) -> Any:
    """The value of a parameter's text, or the text itself, which the schema then refuses."""
    match kind:
        case "integer" if _WHOLE_NUMBER.fullmatch(text):
            return int(text)
        case "number" if _NUMBER.fullmatch(text) and isfinite(float(text)):
            return float(text)
        case "boolean" if text in ("true", "false"):
            return text == "true"
    return text


def _check_content_type(request: Request, media: Sequence[str]) -> None:
    """Require JSON, which pages of other sites cannot post without a CORS preflight."""
    given = request.headers.get("Content-Type", "")
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype not in media or charset not in ("utf-8", "utf8"):
        found = f"{given[:100]!r}" if given else "missing"
        detail = f"The Content-Type is {found}: send {' or '.join(media)} in UTF-8"
        raise ProblemDetails(415, "UNSUPPORTED_MEDIA_TYPE", detail, headers=[("Accept", ", ".join(media))])
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        detail = f"The Content-Encoding {encoding[:100]!r} is not supported: send the body unencoded"
        raise ProblemDetails(415, "UNSUPPORTED_MEDIA_TYPE", detail, headers=[("Accept-Encoding", "identity")])


def _malformed(detail: str) -> ProblemDetails:
    return ProblemDetails(400, "MALFORMED_JSON", detail)
