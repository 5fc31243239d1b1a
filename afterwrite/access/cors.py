"""CORS, so that web pages of other origins can use the API: https://fetch.spec.whatwg.org/#http-cors-protocol."""

import re
from typing import TYPE_CHECKING

from afterwrite.access.roles import Role
from afterwrite.base.own_command import own_command
from afterwrite.base.settings import Settings, SettingsError

if TYPE_CHECKING:
    from flask import Flask, Request, Response

ANY = "*"
PATHS = re.compile(r"/graphql\Z|/api/|/openapi\.json\Z")
METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
# The headers that the API reads, and those that GraphQL clients and tracing libraries add by themselves.
REQUEST_HEADERS = (
    "Accept",
    "Apollo-Require-Preflight",
    "ApolloGraphQL-Client-Name",
    "ApolloGraphQL-Client-Version",
    "Authorization",
    "Baggage",
    "Cache-Control",
    "Content-Type",
    "GraphQL-Preflight",
    "GraphQL-Require-Preflight",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "Traceparent",
    "Tracestate",
    "X-Apollo-Operation-Id",
    "X-Apollo-Operation-Name",
    "X-Requested-With",
)
ANSWER_HEADERS = ("Allow", "ETag", "Link", "Location", "Preference-Applied", "Retry-After", "WWW-Authenticate")
_PREFLIGHT_SECONDS = 3600
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
_USUAL_PORTS = {("http", "80"), ("https", "443")}


def origins_of(settings: Settings, anonymous: Role) -> tuple[str, ...]:
    """The origins of CORS_ORIGINS in lower case; ("*",) for all.

    ``anonymous`` is the role of callers without a key. Raises SettingsError when CORS_ORIGINS is invalid or would let
    every web page write without a key.
    """
    given = [part.strip() for part in settings.cors_origins.split(",") if part.strip()]
    if given != [ANY]:
        return tuple(_origin(text) for text in given)
    if anonymous > Role.READ:
        why, way_out = "no keys", f"make a key with `{own_command('key add NAME --role admin')}`"
        if settings.allow_anonymous:
            why, way_out = f"ALLOW_ANONYMOUS={settings.allow_anonymous}", "set ALLOW_ANONYMOUS=read"
        raise SettingsError(
            f"CORS_ORIGINS=* and {why} would let every web page that a browser opens change all data: "
            f"name the origins, or {way_out}",
            setting="CORS_ORIGINS",
        )
    return (ANY,)


def is_preflight(asked: "Request") -> bool:
    """Whether this is a browser's CORS preflight, which never carries a key."""
    return (
        asked.method == "OPTIONS"
        and "HTTP_ORIGIN" in asked.environ
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in asked.environ
        and PATHS.match(asked.path) is not None
    )


def allow_origins(app: "Flask", origins: tuple[str, ...]) -> None:
    """Add CORS headers for these origins to every response of the API, errors included.

    Credentials are never allowed: a key in the Authorization header needs no cookie, and the console's session belongs
    to the console's own pages.
    """
    from flask import request
    from flask_cors import CORS

    # Compiled, because flask-cors guesses whether a string is a pattern and takes [::1] for one.
    exact = [re.compile(re.escape(origin) + r"\Z", re.IGNORECASE) for origin in origins]
    CORS(
        app,
        resources=PATHS,
        origins=ANY if ANY in origins else exact,
        methods=METHODS,
        allow_headers=list(REQUEST_HEADERS),
        expose_headers=list(ANSWER_HEADERS),
        max_age=_PREFLIGHT_SECONDS,
        send_wildcard=True,
        always_send=False,
        supports_credentials=False,
        vary_header=False,
        intercept_exceptions=False,  # our handlers answer all exceptions
    )
    if ANY in origins:
        return

    @app.after_request
    def _vary(answer: "Response") -> "Response":
        """Set even without an allowed origin, so that no cache serves that response to an allowed one."""
        if PATHS.match(request.path):
            answer.vary.add("Origin")
        return answer


def _origin(text: str) -> str:
    found = _ORIGIN.fullmatch(text)
    if found is None or int(found[3] or 0) > 65_535:
        raise SettingsError(
            f"CORS_ORIGINS names {text[:100]!r}, which is not an origin: give scheme, host and port, no path, "
            "such as https://shop.example or http://localhost:3000, separated by commas, or * alone",
            setting="CORS_ORIGINS",
        )
    if (found[1].lower(), found[3]) in _USUAL_PORTS:
        raise SettingsError(
            f"CORS_ORIGINS names {text[:100]!r}, which no browser sends: remove :{found[3]}, the default port",
            setting="CORS_ORIGINS",
        )
    return text.lower()
