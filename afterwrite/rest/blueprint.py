"""The Flask blueprint of the REST routes, whose errors are RFC 9457 problems."""

from flask import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from afterwrite.rest.openapi import ROUTES, openapi_document
from afterwrite.rest.problems import ProblemDetails, json_answer, problem_of
from afterwrite.rest.reading import Given
from afterwrite.rest.schemas import named
from afterwrite.service.service import Service
from afterwrite.tasks.workers.process_products import PROCESS_PRODUCTS

ROLES = [(f"{route.method} {route.path}", route.role) for route in ROUTES]
"""The name of each route in the table of roles, and its role."""
_PLACES = frozenset(route.path.split("/")[1] for route in ROUTES)


def rest_api(service: Service) -> Blueprint:
    """The blueprint of ``/api/entries``, ``/api/process``, ``/webhook``, the operations and ``/openapi.json``."""
    payload, private = (service.tasks.schema_of(PROCESS_PRODUCTS), service.settings.webhook_allow_private == "on")
    document = json_answer(openapi_document(payload, private_callbacks=private)).get_data()
    schemas = named(payload)
    blueprint = Blueprint("rest_api", __name__)
    for route in ROUTES:
        body = schemas.get(route.takes.body or "", {})
        given = Given(service, document, body, route.takes.query)
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
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
