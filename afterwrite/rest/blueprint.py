"""The Flask blueprint of the REST routes, whose errors are RFC 9457 problems."""

from flask import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from afterwrite.access.roles import Role
from afterwrite.rest.openapi import ROUTES, openapi_document, routes_with
from afterwrite.rest.problems import ProblemDetails, json_answer, problem_of
from afterwrite.rest.reading import Given
from afterwrite.rest.schemas import OBJECT, named
from afterwrite.service.service import Service
from afterwrite.tasks.workers.process_products import PROCESS_PRODUCTS

ROLES = [(route.rule, route.role) for route in ROUTES if isinstance(route.role, Role)]
"""The names in the table of roles of the routes that every application has, and their roles."""
_PLACES = frozenset(route.path.split("/")[1] for route in ROUTES)


def rest_api(service: Service) -> Blueprint:
    """The blueprint of every route: resources, ``/api/entries``, ``/api/process``, ``/webhook`` and the operations."""
    payload, private = (service.tasks.schema_of(PROCESS_PRODUCTS), service.settings.webhook_allow_private == "on")
    document = json_answer(openapi_document(payload, service.resources, private_callbacks=private)).get_data()
    schemas = named(payload)
    blueprint = Blueprint("rest_api", __name__)
    for route in routes_with(service.resources):
        body = schemas.get(route.takes.body or "", OBJECT)  # a resource checks the members itself
        given = Given(service, document, body, route.takes.query, route.takes.media)
        blueprint.add_url_rule(route.path, route.name, route.view(given), methods=[route.method])
    blueprint.register_error_handler(Exception, lambda error: problem_of(error).answer())
    blueprint.before_app_request(_answer_wrong_route)
    blueprint.after_request(_add_headers)
    return blueprint


def is_rest(path: str) -> bool:
    """Whether errors at this path are answered with a problem."""
    return path.split("/", 2)[1] in _PLACES


def _answer_wrong_route() -> Response | None:
    """Answer 404 and 405 here: without a route Flask would not call this blueprint's error handlers."""
    error = request.routing_exception
    if error is None or not is_rest(path := request.path):
        return None
    match error:
        case NotFound():
            detail = f"There is nothing at {path[:200]}: /openapi.json lists the routes"
            problem = ProblemDetails(404, "NOT_FOUND", detail)
        case MethodNotAllowed(valid_methods=allowed):
            methods = ", ".join(sorted(allowed or ()))
            detail = f"{path[:200]} does not support {request.method[:20]}: use {methods}"
            problem = ProblemDetails(405, "METHOD_NOT_ALLOWED", detail, headers=[("Allow", methods)])
        case _:
            return None
    return _add_headers(problem.answer())


def _add_headers(answer: Response) -> Response:
    if answer.status_code in (204, 304):  # without a body
        answer.headers.pop("Content-Type", None)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
