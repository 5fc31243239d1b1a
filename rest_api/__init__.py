"""The REST routes of entries, processes and webhooks, and the OpenAPI document of all REST routes."""

from rest_api.blueprint import rest_api

__all__ = ["rest_api"]
