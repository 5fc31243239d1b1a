"""The REST routes of entries, processes and webhooks, and the OpenAPI document of all REST routes."""

from rest_api.blueprint import is_rest, rest_api
from rest_api.problems import problem_of

__all__ = ["is_rest", "problem_of", "rest_api"]
