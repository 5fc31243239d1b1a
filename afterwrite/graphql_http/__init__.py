"""GraphQL over HTTP for Flask: one view, with limits, a document cache, GraphiQL and event streams."""

from afterwrite.graphql_http.accept import wants_page
from afterwrite.graphql_http.errors import HttpRefusal, RequestError
from afterwrite.graphql_http.limits import Limits
from afterwrite.graphql_http.streams import KEEP_ALIVE
from afterwrite.graphql_http.view import GraphQLView, answer_refusal

__all__ = ["KEEP_ALIVE", "GraphQLView", "HttpRefusal", "Limits", "RequestError", "answer_refusal", "wants_page"]
