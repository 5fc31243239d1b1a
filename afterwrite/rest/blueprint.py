"""Puts the REST routes together, and answers everything that goes wrong below them with a problem."""

from collections.abc import Callable

from flask import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from afterwrite.rest.openapi import ROUTES, openapi_document
from afterwrite.rest.problems import ProblemDetails, json_answer, problem_of
from afterwrite.rest.reading import Given
from afterwrite.rest.schemas import named
from afterwrite.service.service import Service
from afterwrite.tasks.workers.process_products import PROCESS_PRODUCTS

ROLES = [(f"{route.method} {route.path}", route.role) for route in ROUTES]
"""What each route is called in the table of roles, and the role that it needs."""
_PLACES = frozenset(route.path.split("/")[1] for route in ROUTES)


def rest_api(service: Service, caller_name: Callable[[], str | None] = lambda: None) -> Blueprint:
    """The blueprint of ``/api/entries``, ``/api/process``, ``/webhook``, the operations and ``/openapi.json``.

    ``caller_name`` says within a request whose it is; None of one who gave no name.
    """
    payload, private = (
        service.tasks.schema_of(PROCESS_PRODUCTS),
        service.settings.webhook_allow_private == "on",
    )
    document = json_answer(openapi_document(payload, private_callbacks=private)).get_data()
    schemas = named(payload)
    blueprint = Blueprint("rest_api", __name__)
    for route in ROUTES:
        body = schemas.get(route.takes.body or "", {})
        given = Given(service, caller_name, document, body, route.takes.query)
        blueprint.add_url_rule(route.path, route.name, route.view(given), methods=[route.method])
    blueprint.register_error_handler(Exception, _answer_problem)
    blueprint.before_app_request(_answer_wrong_route)
    blueprint.after_request(_add_headers)
    return blueprint


def is_rest(path: str) -> bool:
    """Whether what is wrong at this path is answered with a problem."""
    return path.split("/", 2)[1] in _PLACES


def _answer_problem(error: Exception) -> Response:
    return problem_of(error).answer()


def _answer_wrong_route() -> Response | None:
    """Where no route fits there is no blueprint either, so the application would answer in its own form."""
    error = request.routing_exception
    if error is None or not is_rest(path := request.path):
        return None
    match error:
        case NotFound():
            detail = f"There is nothing at {path[:200]}: /openapi.json lists the routes"
            problem = ProblemDetails(404, "NOT_FOUND", detail)
        case MethodNotAllowed(valid_methods=allowed):
            methods = ", ".join(sorted(allowed or ()))
            detail = f"{request.method[:20]} is not answered at {path[:200]}: use {methods}"
            problem = ProblemDetails(405, "METHOD_NOT_ALLOWED", detail, headers=[("Allow", methods)])
        case _:
            return None
    return _add_headers(problem.answer())


def _add_headers(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
