"""Bounded reading of request bodies."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from afterwrite.graphql_http.body import announced_bytes
from afterwrite.server.tcp_connections import plain_address

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from afterwrite.graphql_http.errors import HttpRefusal

PIECE_BYTES = 64 << 10
"""The size of one read; the deadline applies to each."""


Read = Callable[["Body", int], bytes]
"""Reads up to a number of bytes of a body, fewer only at its end; raises HttpRefusal for a slow one."""


class Body:
    """The body of one request; replaces the server's ``wsgi.input``."""

    __slots__ = (
        "_left",
        "_read",
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

    def __init__(self, environ: "WSGIEnvironment", read: Read) -> None:
        self.environ = environ
        self.stream: Any = environ["wsgi.input"]
        # Those of the connection, before ProxyFix replaces them.
        self.peer = plain_address(environ.get("REMOTE_ADDR", ""))
        self.port = int(environ.get("SERVER_PORT") or 0)
        self.group = self.address = ""
        """The callers that share its slots, and the client's address; set at the first read."""
        self.started = self.piece_started = 0.0
        self.refused: HttpRefusal | None = None
        """Why another thread ended the read."""
        self.is_back = True
        """Whether no thread waits in a read."""
        self.is_read = False
        """Whether the whole body was read, so that the connection can be reused."""
        self._read = read
        self._left = announced_bytes(environ)

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to ``size`` bytes, at most one piece; without a size, the whole body. Raises HttpRefusal."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(PIECE_BYTES), b""))
        size = min(size, PIECE_BYTES if self._left is None else min(PIECE_BYTES, self._left))
        if not size or self.is_read:
            return b""
        piece = self._read(self, size)
        if self._left is None:
            self.is_read = len(piece) < size
        else:
            # A body that ends before its Content-Length leaves a connection that cannot be reused.
            self._left -= len(piece)
            self.is_read = self._left == 0
        return piece


def with_bodies(application: "WSGIApplication", read: Read) -> "WSGIApplication":
    """Wrap the application so that its requests read their bodies with ``read``.

    A response to a request whose body was not read to its end carries ``Connection: close``: the next bytes could be
    the rest of the body or a new request, whose client would wait in vain.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ.get("CONTENT_LENGTH") in (None, "", "0") and "HTTP_TRANSFER_ENCODING" not in environ:
            return application(environ, start_response)
        body = environ["wsgi.input"] = Body(environ, read)

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], object]:
            if not body.is_read:
                headers.append(("Connection", "close"))
            return start_response(status, headers, *more)

        try:
            return application(environ, start)
        finally:
            # Breaks the reference cycle between the two.
            del environ["wsgi.input"]

    return answer
