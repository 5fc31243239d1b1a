"""Builds the Flask application of a service: the gate, GraphQL, REST, the console and error handlers."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Request, Response, jsonify, request
from graphql import GraphQLSchema
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import WebsocketMismatch

from afterwrite.access.caller import Way, sender_of
from afterwrite.access.control import AccessControl
from afterwrite.access.session import csrf_token
from afterwrite.application.flask_app import FlaskApp
from afterwrite.application.gate import add_gate, this_request
from afterwrite.application.own_parts import Roles, blueprints_of, fill_table, own_pages, root_fields, routes_of
from afterwrite.base import tracing
from afterwrite.base.refusals import Refused
from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.console import answer_error, console, longer_forms, refused
from afterwrite.graphql_http import GraphQLView, HttpRefusal, Limits, RequestError, answer_refusal, wants_page
from afterwrite.rest import problem_of, rest_api
from afterwrite.service.context import Context
from afterwrite.service.current import EXTENSION
from afterwrite.service.process import session_secret
from afterwrite.service.service import Service

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger("afterwrite.app")
_NO_WEBSOCKET = HttpRefusal(
    501, "This server has no WebSocket here: use Granian and /graphql, or an event stream (Accept: text/event-stream)"
)
_ASSET_SECONDS = 7 * 24 * 3600  # the pages put a version into the URLs of their assets
_STATIC = Path(__file__).parent.parent / "static"
_EXAMPLES = _STATIC / "graphiql" / "examples"


def create_app(
    service: Service,
    access: AccessControl,
    schema: GraphQLSchema,
    blueprints: Sequence[Blueprint] = (),
    pages: Mapping[str, str] = MappingProxyType({}),
    roles: Roles = MappingProxyType({}),
    *,
    compiled: bool = True,
) -> Flask:
    """The Flask application of a service.

    ``blueprints`` and ``pages`` are the application's own, ``roles`` those of its resources, routes and root fields;
    see Application. ``compiled`` is the argument of GraphQLView. Raises what check_parts checks, RuntimeError if the
    table of roles does not match the routes and fields, and StoreError if the session secret cannot be stored.
    """
    app = FlaskApp(__name__, static_folder=_STATIC)
    app.url_map.merge_slashes = False  # a path with // gets 404, not a redirect
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = _ASSET_SECONDS
    settings = service.settings
    app.extensions[EXTENSION] = lambda: _context(service, access, request)

    # For forms; GraphQL and REST have limits of their own.
    app.config.update(MAX_CONTENT_LENGTH=64 << 10, MAX_FORM_MEMORY_SIZE=settings.max_body_bytes)
    longer = {"rest_api.receive_webhook": settings.max_body_bytes, **longer_forms(settings, service.resources.values())}

    @app.before_request
    def _let_forms_be_longer() -> None:
        """Runs before the gate, which may read the form for its CSRF token."""
        asked = this_request()
        if limit := longer.get(asked.endpoint):
            asked.max_content_length = limit

    add_gate(app, access, session_secret(service.stores.secret), lambda: service.queue.stop_announced)
    app.add_url_rule("/graphql", view_func=_graphql_view(service, access, schema, compiled=compiled))
    app.register_blueprint(rest_api(service))
    shown = own_pages(blueprints, pages)
    access.add_pages(blueprints_of(shown))
    app.register_blueprint(console(service, lambda: _context(service, access, this_request()), shown))
    _answer_errors(app, access)

    @app.after_request
    def _count(response: Response) -> Response:
        rule = this_request().url_rule
        service.metrics.count_request(rule.rule if rule else "none", response.status_code)
        return response

    known = frozenset(app.view_functions)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    fill_table(access.table, service.resources, schema, list(routes_of(app, known)), roles)
    access.table.check(app.url_map, root_fields(schema))
    app.wsgi_app = _in_trace(app.wsgi_app)  # type: ignore[method-assign, assignment]
    return app


def _answer_errors(app: Flask, access: AccessControl) -> None:
    """Answer the errors that no blueprint handles: of an application's own page as those of the console."""

    def handler_of(answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda error: answer_error(error) if access.is_page(this_request()) else answer(error)

    app.register_error_handler(HTTPException, handler_of(_http_error))
    app.register_error_handler(WebsocketMismatch, lambda _: answer_refusal(this_request(), _NO_WEBSOCKET))
    for told in (Refused, RequestError, StoreError):
        app.register_error_handler(told, handler_of(lambda error: problem_of(error).answer()))
    app.register_error_handler(Exception, handler_of(_unexpected_error))


def _graphql_view(
    service: Service, access: AccessControl, schema: GraphQLSchema, *, compiled: bool
) -> Callable[..., Any]:
    """The view function of ``/graphql``."""
    settings = service.settings
    return GraphQLView.as_view(
        "graphql",
        schema=schema,
        graphiql=settings.introspection == "on",
        introspection=settings.introspection == "on",
        limits=_graphql_limits(settings),
        max_streams=settings.max_streams,
        max_stream_threads=settings.stream_threads,
        submit=service.background.submit,
        audience=lambda asked: (sender_of(asked).caller, asked.host_url),
        context=lambda asked: _context(service, access, asked),
        check_origin=access.check_origin,
        sign_in=access.sign_in_socket,
        count=access.count_operation,
        on_stop=service.on_stop.append,
        permit=access.permit,
        permit_still=access.permit_still,
        stream_holder=access.holder_of,
        csrf_token=lambda: csrf_token() if sender_of(request).way is Way.SESSION else "",
        home=("Afterwrite", "/"),
        compiled=compiled,
        examples=[path.read_text(encoding="utf-8") for path in sorted(_EXAMPLES.glob("*.graphql"))],
    )


def _in_trace(application: "WSGIApplication") -> "WSGIApplication":
    """Wrap the application to continue the trace of a request's ``traceparent`` header."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        header = environ.get("HTTP_TRACEPARENT")
        if header is None:
            return application(environ, start_response)
        with tracing.working_on(None, tracing.read_trace(header)):
            return application(environ, start_response)

    return answer


def _context(service: Service, access: AccessControl, asked: Request) -> Context:
    def permit(field: str) -> None:
        try:
            access.permit(asked, "query", [field])
        except HttpRefusal as refused:
            raise RequestError(refused.message, refused.code) from refused

    return service.context(sender_of(asked).caller.name, lambda: asked.host_url.rstrip("/"), permit)


def _http_error(error: HTTPException) -> Response | tuple[Response, int]:
    status = error.code or 500
    if status < 500 and request.method == "GET" and wants_page(request.headers.get("Accept")):
        return refused(_page_text(error), status)
    code = "INTERNAL_SERVER_ERROR" if status >= 500 else "BAD_REQUEST"
    answer = jsonify(errors=[{"message": error.description, "extensions": {"code": code}}])
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            answer.headers[name] = value
    return answer, status


def _page_text(error: HTTPException) -> str:
    if error.description == NotFound.description:
        return f"There is no page at {request.path[:100]}: check the address, or start from the overview"
    return error.description or error.name


def _unexpected_error(error: Exception) -> tuple[Response, int]:
    _log.error("a request failed with an unexpected error", exc_info=error)
    message = "Internal server error: the log has the reason"
    return jsonify(errors=[{"message": message, "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]), 500


def _graphql_limits(settings: Settings) -> Limits:
    """The limits that have a setting of the same name; the others keep their defaults."""
    names = {limit.name for limit in fields(Limits)} & {setting.name for setting in fields(settings)}
    return Limits(**{name: getattr(settings, name) for name in names})
