"""Automatic persisted queries: a client sends the SHA-256 of a document instead of its text.

The protocol: https://github.com/apollographql/apollo-link-persisted-queries#protocol
"""

from __future__ import annotations

from hashlib import sha256

from afterwrite.graphql_http.bounded import BoundedStore
from afterwrite.graphql_http.errors import GraphQLRefusal, HttpRefusal
from afterwrite.graphql_http.request import Parameters

NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
HASH_MISMATCH = "PERSISTED_QUERY_HASH_MISMATCH"

MAX_CHARS = 1024 * 1024
MAX_CHARS_EACH = 64 * 1024  # the client sends the text of a longer one each time


class PersistedQueries:
    """An in-memory LRU cache of document texts by their SHA-256.

    A miss, after eviction or in another process, costs the client one more request, which carries the text.
    """

    def __init__(self, max_entries: int) -> None:
        self._texts = BoundedStore[str](max_entries, max_chars=MAX_CHARS, max_chars_each=MAX_CHARS_EACH)

    def text_of(self, parameters: Parameters) -> str:
        """Returns the document text of a request.

        Raises:
            GraphQLRefusal: the request has only a hash, which is not cached.
            HttpRefusal: 400 if the hash does not match the text.
        """
        text, digest = parameters.query, parameters.sha256
        if text is None:
            known = None if digest is None else self._texts.get(digest)
            if known is not None:
                return known
            # Clients look for this exact text, some of them only in a response with the status 200.
            raise GraphQLRefusal([{"message": "PersistedQueryNotFound", "extensions": {"code": NOT_FOUND}}], status=200)
        if digest is not None and digest != (found := sha256(text.encode()).hexdigest()):
            message = f"provided sha does not match query: its SHA-256 is {found}. Send that as sha256Hash."
            raise HttpRefusal(400, message, HASH_MISMATCH)
        return text

    def keep(self, parameters: Parameters) -> None:
        """Caches the text of a request that carries its hash; call it once the document is known to be valid."""
        if parameters.query is not None and parameters.sha256 is not None:
            self._texts.keep(parameters.sha256, parameters.query, len(parameters.query))
