"""Chooses the media type of an answer from the Accept header."""

from __future__ import annotations

from functools import lru_cache

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"
HTML = "text/html"

_MAX_REMEMBERED_LENGTH = 1_000


def negotiate(accept: str | None, *, html: bool) -> str | None:
    """Returns the offered media type that the client prefers, or None if it accepts none of them.

    Without a header, or where only a wildcard matches, that is `application/json`, as the GraphQL-over-HTTP
    specification requires. Equal qualities go to the first in the header; `text/html` is offered if `html`.
    """
    if accept is None:
        return JSON
    if len(accept) > _MAX_REMEMBERED_LENGTH:
        return _choose(accept, html)
    return _remembered(accept, html)


def wants_page(accept: str | None) -> bool:
    """Whether the client prefers HTML, as a browser does that opens a URL."""
    return negotiate(accept, html=True) == HTML


def _choose(accept: str, html: bool) -> str | None:
    named: dict[str, tuple[float, int]] = {}
    for position, part in enumerate(accept.split(",")):
        name, quality = _media_range(part)
        if name and name not in named:
            named[name] = (quality, -position)
    # A wildcard ranks after every type that is named with the same quality.
    for wildcard in ("application/*", "*/*"):
        if wildcard in named:
            named.setdefault(JSON, (named[wildcard][0], -len(accept)))
    if not named:
        return JSON if not accept.strip() else None
    offered = [JSON, GRAPHQL_RESPONSE, EVENT_STREAM, *([HTML] if html else [])]
    liked = [name for name in offered if named.get(name, (0.0, 0))[0] > 0]
    return max(liked, key=lambda name: named[name], default=None)


_remembered = lru_cache(maxsize=256)(_choose)


def _media_range(part: str) -> tuple[str, float]:
    """Returns the name and quality of one media range; the name is empty for a charset other than UTF-8."""
    name, *parameters = part.split(";")
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        match key.strip().lower():
            case "q":
                quality = _quality(value.strip())
            case "charset" if value.strip(' "').lower() not in ("utf-8", "utf8"):
                return "", 0.0
    return name.strip().lower(), quality


def _quality(value: str) -> float:
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0
