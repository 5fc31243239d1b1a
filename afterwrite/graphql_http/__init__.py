"""GraphQL over HTTP for Flask: one view, with limits, a document cache, GraphiQL and event streams.

The names are imported when they are first used: programs that serve nothing need single modules, without Flask.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afterwrite.graphql_http.accept import wants_page
    from afterwrite.graphql_http.errors import HttpRefusal, RequestError
    from afterwrite.graphql_http.limits import Limits
    from afterwrite.graphql_http.responses import answer_refusal
    from afterwrite.graphql_http.streams import KEEP_ALIVE
    from afterwrite.graphql_http.view import GraphQLView

__all__ = ["KEEP_ALIVE", "GraphQLView", "HttpRefusal", "Limits", "RequestError", "answer_refusal", "wants_page"]
_HOMES = {
    "answer_refusal": "responses",
    "GraphQLView": "view",
    "HttpRefusal": "errors",
    "KEEP_ALIVE": "streams",
    "Limits": "limits",
    "RequestError": "errors",
    "wants_page": "accept",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
