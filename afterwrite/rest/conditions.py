"""Reads the headers with conditions and preferences: If-Match (RFC 9110) and Prefer (RFC 7240)."""

import re
from collections.abc import Mapping
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.http import parse_list_header

from afterwrite.resources.number_fields import INT_MAX
from afterwrite.rest.problems import ProblemDetails

_ETAG = re.compile('"([1-9][0-9]{0,9})"', re.ASCII)
IF_MATCH: Mapping[str, Any] = {
    "If-Match": {
        "description": "Apply it only to this version of the record: the ETag that was answered",
        "schema": {"type": "string", "pattern": r'^(\*|"[1-9][0-9]{0,8}")$'},
    }
}
IF_NONE_MATCH: Mapping[str, Any] = {
    "If-None-Match": {"description": "Answer 304 if the record still has this ETag", "schema": {"type": "string"}}
}
PREFER: Mapping[str, Any] = {
    "Prefer": {
        "description": "`wait=10` waits up to 10 seconds, WAIT_SECONDS at most, until the write is applied",
        "schema": {"type": "string"},
        "example": "wait=10",
    }
}


def etag_of(version: int) -> str:
    """The ETag of a record's version."""
    return f'"{version}"'


def wanted_version(headers: Headers) -> int | None:
    """The version in If-Match, None for any. Raises ProblemDetails (400) for what no record here can have."""
    given = headers.get("If-Match")
    if given is None or given.strip() == "*":
        return None
    found = _ETAG.fullmatch(given.strip())
    if found is None or int(found[1]) > INT_MAX:
        detail = f'If-Match is {given[:60]!r}: give the one ETag that was answered with the record, such as "3", or *'
        raise ProblemDetails(400, "BAD_REQUEST", detail, [{"header": "If-Match", "detail": detail}])
    return int(found[1])


def wanted_wait(headers: Headers) -> int | None:
    """The seconds of the preference ``wait``; None without it. A preference that cannot be read is ignored."""
    for preference in parse_list_header(", ".join(headers.getlist("Prefer"))):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            seconds = value.strip().strip('"')
            return int(seconds) if re.fullmatch("[0-9]{1,9}", seconds, re.ASCII) else None
    return None
