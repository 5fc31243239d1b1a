"""The gate before every request: access control, limits on slow clients, and security headers.

A refusal takes the form of its route: a page, a problem or a GraphQL error.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Flask, Request, Response, redirect, request
from werkzeug.exceptions import BadHost
from werkzeug.middleware.proxy_fix import ProxyFix

from afterwrite.access.control import AccessControl, install
from afterwrite.access.cors import allow_origins
from afterwrite.access.headers import with_headers
from afterwrite.access.local_paths import local_path
from afterwrite.access.session import use_sessions
from afterwrite.console import answer_error
from afterwrite.graphql_http import HttpRefusal, answer_refusal, wants_page
from afterwrite.rest import is_rest, problem_of
from afterwrite.server.bodies import with_bodies
from afterwrite.server.slow_answers import SlowAnswers
from afterwrite.server.slow_bodies import SlowBodies

if TYPE_CHECKING:
    pass

SIGN_IN = "/sign-in"
_PAGES = ("graphql",)  # endpoints outside the console that browsers open


def add_gate(
    app: Flask, access: AccessControl, session_secret: str, is_stopping: Callable[[], bool] = lambda: False
) -> None:
    """Check every request of the application with ``access``, limit slow clients, and add security headers.

    Call it before registering any other ``before_request`` that answers. While ``is_stopping``, slow clients get 2 s.
    """
    settings = access.settings
    if count := settings.proxies + settings.own_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    use_sessions(app, session_secret, settings.session_hours, access.ended)
    install(access, app)
    if access.origins:
        allow_origins(app, access.origins)

    @app.before_request
    def _admit() -> Response | None:
        asked = this_request()
        try:
            access.admit(asked)
            if isinstance(asked.routing_exception, BadHost):
                host = asked.environ.get("HTTP_HOST", "")
                raise HttpRefusal(400, f"Invalid Host header {host[:100]!r}: send the host of the URL")
        except HttpRefusal as refused:
            return _answer(access, asked, refused)
        return Response(status=204) if access.asks_only(asked) else None

    # Raised by reads of the body; blueprints handle it in their own form.
    app.register_error_handler(HttpRefusal, lambda refused: _answer(access, this_request(), refused))
    bodies = SlowBodies(settings, is_stopping)
    inner = with_bodies(with_headers(app.wsgi_app), bodies.read)
    app.wsgi_app = SlowAnswers(settings, is_stopping).around(inner)  # type: ignore[method-assign, assignment]


def _answer(access: AccessControl, asked: Request, refused: HttpRefusal) -> Response:
    is_page = access.is_page(asked)
    if is_page and refused.status != 401:
        return answer_error(refused)
    if is_page or (asked.endpoint in _PAGES and _opens_a_page(asked)):
        return _page_answer(asked, refused)
    if is_rest(asked.path):
        answer = problem_of(refused).answer()
        answer.headers["Cache-Control"] = "no-store"
        return answer
    return answer_refusal(asked, refused)


def _page_answer(asked: Request, refused: HttpRefusal) -> Response:
    answer = Response(f"{refused.message}\n", refused.status, content_type="text/plain; charset=utf-8")
    answer.headers.extend(refused.headers)
    answer.headers["Cache-Control"] = "no-store"
    if "HX-Request" in asked.headers:
        # htmx leaves the page unchanged, shows the message as a toast, and follows the redirect to sign in.
        answer.headers["HX-Reswap"] = "none"
        answer.headers["HX-Trigger"] = json.dumps({"toast": {"text": refused.message, "kind": "error"}})
        if refused.status == 401:
            answer.headers["HX-Redirect"] = _sign_in_location(asked.headers.get("HX-Current-URL"))
    elif refused.status == 401 and _opens_a_page(asked):
        return redirect(_sign_in_location(asked.full_path.removesuffix("?")))  # type: ignore[return-value]
    return answer


def _sign_in_location(url: str | None) -> str:
    return f"{SIGN_IN}?next={quote(local_path(url))}"


def _opens_a_page(asked: Request) -> bool:
    return asked.method in ("GET", "HEAD") and wants_page(asked.headers.get("Accept"))


def this_request() -> Request:
    """The request itself, not the proxy: a streamed response uses it after the request context has ended."""
    return request._get_current_object()  # type: ignore[attr-defined, no-any-return]  # the proxy costs time per access
