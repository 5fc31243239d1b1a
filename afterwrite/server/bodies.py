"""Reads request bodies within bounds, and closes the connection of a request whose body was not read."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from afterwrite.graphql_http.body import announced_bytes
from afterwrite.server.tcp_connections import plain_address

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from afterwrite.graphql_http.errors import HttpRefusal

PIECE_BYTES = 64 << 10
"""A body is read in pieces of this size, each of which has the deadline."""


class Reader(Protocol):
    """Reads pieces of bodies; raises HttpRefusal where one comes too slowly."""

    def read(self, body: "Body", size: int) -> bytes:
        """Up to ``size`` bytes of the body; fewer only at its end."""


class Body:
    """The body of one request, in place of the server's ``wsgi.input``."""

    __slots__ = (
        "_left",
        "_reader",
        "address",
        "environ",
        "group",
        "is_back",
        "is_read",
        "peer",
        "piece_started",
        "port",
        "refused",
        "started",
        "stream",
    )

    def __init__(self, environ: "WSGIEnvironment", reader: Reader) -> None:
        self.environ = environ
        self.stream: Any = environ["wsgi.input"]
        # Those of the connection, whatever a proxy says of them later.
        self.peer = plain_address(environ.get("REMOTE_ADDR", ""))
        self.port = int(environ.get("SERVER_PORT") or 0)
        self.group = self.address = ""
        """The callers with whom this one shares its places, and where it comes from; set at the first read."""
        self.started = self.piece_started = 0.0
        self.refused: HttpRefusal | None = None
        """Why reading was ended from outside."""
        self.is_back = True
        """Whether no thread waits for a piece."""
        self.is_read = False
        """Whether the whole body was read: what comes next on the connection is the next request."""
        self._reader = reader
        self._left = announced_bytes(environ)

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to ``size`` bytes, and no more than one piece; all of them where no size is given. Raises HttpRefusal."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(PIECE_BYTES), b""))
        size = min(size, PIECE_BYTES if self._left is None else min(PIECE_BYTES, self._left))
        if not size or self.is_read:
            return b""
        piece = self._reader.read(self, size)
        if self._left is None:
            self.is_read = len(piece) < size
        else:
            # A body that breaks off before its announced end leaves a connection that is of no use.
            self._left -= len(piece)
            self.is_read = self._left == 0
        return piece


def with_bodies(application: "WSGIApplication", reader: Reader) -> "WSGIApplication":
    """The application, whose requests read their bodies through ``reader``.

    An answer to a request whose body was not read to its end says that the connection closes: what follows on it could
    be the rest of the body or the next request, and a client that waits for an answer to that would wait in vain.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ.get("CONTENT_LENGTH") in (None, "", "0") and "HTTP_TRANSFER_ENCODING" not in environ:
            return application(environ, start_response)
        body = environ["wsgi.input"] = Body(environ, reader)

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], object]:
            if not body.is_read:
                headers.append(("Connection", "close"))
            return start_response(status, headers, *more)

        try:
            return application(environ, start)
        finally:
            # The two refer to each other, which only the garbage collector would end.
            del environ["wsgi.input"]

    return answer
