"""The REST API: resources, entries, jobs, webhooks and operations, with its OpenAPI document."""

from afterwrite.rest.blueprint import ROLES, is_rest, rest_api
from afterwrite.rest.problems import problem_of
from afterwrite.rest.resource_routes import routes_of

__all__ = ["ROLES", "is_rest", "problem_of", "rest_api", "routes_of"]
