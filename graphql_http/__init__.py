"""GraphQL over HTTP for Flask: one view, with limits, a document cache, GraphiQL and event streams."""

from graphql_http.accept import wants_page
from graphql_http.errors import HttpRefusal, RequestError
from graphql_http.limits import Limits
from graphql_http.streams import KEEP_ALIVE
from graphql_http.view import GraphQLView, answer_refusal

__all__ = [
    "KEEP_ALIVE",
    "GraphQLView",
    "HttpRefusal",
    "Limits",
    "RequestError",
    "answer_refusal",
    "wants_page",
]
