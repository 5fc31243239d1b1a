"""Lets each request pass or answers it with its refusal, in the form of its place: page, problem or GraphQL error."""

import json
from collections.abc import Callable, Collection
from urllib.parse import quote

from flask import Flask, Request, Response, after_this_request, redirect, request
from werkzeug.middleware.proxy_fix import ProxyFix

from access.caller import current_caller
from access.control import CONSOLE, AccessControl, install
from access.cors import allow_origins
from access.headers import with_headers
from access.local_paths import local_path
from access.refusal import Refused
from access.roles import Role
from access.session import use_sessions
from graphql_http import HttpRefusal, RequestError, answer_refusal, wants_page
from graphql_http.body import read_on
from rest_api import Problem, is_rest

SIGN_IN = "/sign-in"
_PAGES = ("graphql",)  # endpoints that browsers open, beside the console's


def add_gate(app: Flask, access: AccessControl, session_secret: str) -> None:
    """Ask ``access`` before every request of the application, and put our headers on every answer.

    To be called before anything else that answers before a request.
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
        asked = request._get_current_object()  # type: ignore[attr-defined]  # the proxy costs at each look
        try:
            access.admit(asked)
        except Refused as refused:
            if not _body_is_read(asked, refused):
                after_this_request(_with_end)
            if refused.status != 401 and (asked.endpoint or "").startswith(CONSOLE):
                raise  # the console has a page for it
            return _answer(asked, refused)
        return Response(status=204) if access.asks_only(asked) else None

    app.wsgi_app = with_headers(app.wsgi_app)  # type: ignore[method-assign, assignment]


def _body_is_read(asked: Request, refused: Refused) -> bool:
    """Read on what a holder of a key sends; of nobody it is read already, unless it was refused for its body."""
    if current_caller().role > Role.NOBODY:
        return read_on(asked.environ, 2 * (asked.max_content_length or 0))
    return refused.status not in (413, 503)


def _with_end(answer: Response) -> Response:
    """Say that the connection ends: a client that would send its next request on it would lose it."""
    answer.headers["Connection"] = "close"
    return answer


def permit_with(access: AccessControl) -> Callable[[Request, str, Collection[str]], None]:
    """What GraphQLView calls before it runs an operation."""

    def permit(asked: Request, operation: str, fields: Collection[str]) -> None:
        try:
            access.permit(asked, operation, fields)
        except Refused as refused:
            raise _graphql_refusal(refused) from refused

    return permit


def permit_still_with(access: AccessControl) -> Callable[[Request, str, Collection[str]], None]:
    """What GraphQLView calls while an event stream goes on."""

    def permit_still(asked: Request, operation: str, fields: Collection[str]) -> None:
        try:
            access.permit_still(asked, operation, fields)
        except Refused as refused:
            raise RequestError(refused.message, refused.code) from refused

    return permit_still


def _answer(asked: Request, refused: Refused) -> Response:
    endpoint = asked.endpoint or ""
    if endpoint.startswith(CONSOLE) or (endpoint in _PAGES and _opens_a_page(asked)):
        return _page_answer(asked, refused)
    if is_rest(asked.path):
        return Problem(refused.status, refused.code, refused.message, headers=refused.headers).answer()
    return answer_refusal(asked, _graphql_refusal(refused))


def _page_answer(asked: Request, refused: Refused) -> Response:
    answer = Response(f"{refused.message}\n", refused.status, content_type="text/plain; charset=utf-8")
    answer.headers.extend(refused.headers)
    answer.headers["Cache-Control"] = "no-store"
    if "HX-Request" in asked.headers:
        # A script asks: it leaves the page as it is, says why over it, and goes to sign in by itself.
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


def _graphql_refusal(refused: Refused) -> HttpRefusal:
    return HttpRefusal(refused.status, refused.message, refused.code, tuple(refused.headers))
