"""Puts the REST routes together, and answers everything that goes wrong below them with a problem."""

from collections.abc import Callable

from flask import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from afterwrite.rest.entry_routes import add_entry_routes
from afterwrite.rest.openapi import openapi_document
from afterwrite.rest.operation_routes import add_operation_routes
from afterwrite.rest.problems import Problem, json_answer, problem_of
from afterwrite.rest.process_routes import add_process_routes
from afterwrite.rest.webhook_routes import add_webhook_routes
from afterwrite.service.service import Service
from afterwrite.tasks.workers.process_products import PROCESS_PRODUCTS

_PLACES = ("/api", "/webhook", "/openapi.json", "/health", "/ready", "/metrics")


def rest_api(service: Service, caller_name: Callable[[], str | None] = lambda: None) -> Blueprint:
    """The blueprint of ``/api/entries``, ``/api/process``, ``/webhook``, the operations and ``/openapi.json``.

    ``caller_name`` says within a request whose it is; None of one who gave no name.
    """
    settings = service.settings
    private_callbacks, max_body_bytes = settings.webhook_allow_private == "on", settings.max_body_bytes
    blueprint = Blueprint("rest_api", __name__)
    add_entry_routes(blueprint, service.tasks, max_body_bytes, caller_name)
    add_process_routes(blueprint, service.tasks, max_body_bytes, caller_name)
    add_webhook_routes(blueprint, service.receiver, max_body_bytes)
    add_operation_routes(blueprint, service)
    described = openapi_document(
        service.tasks.schema_of(PROCESS_PRODUCTS), private_callbacks=private_callbacks
    )
    document = json_answer(described).get_data()

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        return Response(document, content_type="application/json")

    blueprint.register_error_handler(Exception, _answer_problem)
    blueprint.before_app_request(_answer_wrong_route)
    blueprint.after_request(_add_headers)
    return blueprint


def is_rest(path: str) -> bool:
    """Whether what is wrong at this path is answered with a problem."""
    return any(path == place or path.startswith(f"{place}/") for place in _PLACES)


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
            problem = Problem(404, "NOT_FOUND", detail)
        case MethodNotAllowed(valid_methods=allowed):
            methods = ", ".join(sorted(allowed or ()))
            detail = f"{request.method[:20]} is not answered at {path[:200]}: use {methods}"
            problem = Problem(405, "METHOD_NOT_ALLOWED", detail, headers=[("Allow", methods)])
        case _:
            return None
    return _add_headers(problem.answer())


def _add_headers(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
