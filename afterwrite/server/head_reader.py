"""A gunicorn worker that reads request heads in the accepting thread, so that slow clients hold no thread."""

import mmap
import re
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gunicorn.http
import gunicorn.sock
import gunicorn.workers.gthread
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine

from afterwrite.server.connections import HEAD_MAX_BYTES, HEAD_SECONDS
from afterwrite.server.loading import load

_HEAD_END = re.compile(rb"\n\r?\n")  # accepts bare line feeds too, which the parser then refuses
_HEAD_SECONDS_AT_STOP = 2.0


class HeadReader(gunicorn.workers.gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A gthread worker that hands a request to a thread only when its head is complete.

    gunicorn's own worker gives a thread to every connection that has sent a byte. Here the accepting thread collects
    the heads of all connections. A connection without a complete head within HEAD_SECONDS is closed.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._refused = mmap.mmap(-1, 1)  # shared with the main process, which ends silently then

    @property
    def has_refused(self) -> bool:
        """Whether the worker has said why it cannot serve."""
        return self._refused[0] != 0

    def load_wsgi(self) -> None:
        """Load the application, or say in one line why it cannot be served and end this process."""
        try:
            load(super().load_wsgi, "app")
        except SystemExit:
            self._refused[0] = 1
            raise SystemExit from None  # without a code, which the main process would log

    def enqueue_req(self, conn: Any) -> None:
        """Start reading the head of a connection's next request."""
        if conn.sock.gettimeout() != 0:
            conn.sock.setblocking(False)
        # The parser may have read past the body of the previous request.
        conn.head = bytearray(conn.parser.unreader.take_buffered() if conn.parser else b"")
        conn.searched = 0
        if then := self._read_head(conn):
            then(conn)
            return
        conn.timeout = time.monotonic() + (HEAD_SECONDS if self.alive else _HEAD_SECONDS_AT_STOP)
        self.pending_conns.append(conn)
        read_on = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, read_on)

    def on_pending_socket_readable(self, conn: Any, client: socket.socket) -> None:
        """Continue reading a head."""
        if then := self._read_head(conn):
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            then(conn)

    def _read_head(self, conn: Any) -> Callable[[Any], None] | None:
        """Read the available part of a head; returns the next action for the connection, None if more is to come."""
        try:
            if self.cfg.is_ssl and conn.parser is None and not isinstance(conn.sock, ssl.SSLSocket):
                conn.sock = gunicorn.sock.ssl_wrap_socket(conn.sock, self.cfg)
            while not (end := _HEAD_END.search(conn.head, conn.searched)):
                if len(conn.head) >= HEAD_MAX_BYTES:
                    return self._refuse_long_head
                conn.searched = max(0, len(conn.head) - 2)
                received = conn.sock.recv(HEAD_MAX_BYTES)
                if not received:
                    return self._drop
                conn.head += received
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError as error:
            self.log.debug("Closing a connection that sent no request: %s", error)
            return self._drop
        return self._hand_over if end.end() <= HEAD_MAX_BYTES else self._refuse_long_head

    def _hand_over(self, conn: Any) -> None:
        """Let a thread answer the request."""
        if conn.parser is None:
            conn.parser = gunicorn.http.get_parser(self.cfg, conn.sock, conn.client)
            conn.initialized = True
        conn.parser.unreader.unread(bytes(conn.head))
        super().enqueue_req(conn)

    def _refuse_long_head(self, conn: Any) -> None:
        is_line = b"\n" not in conn.head
        what = "the request line" if is_line else "the head of the request"
        limit = f"{what} has more than {HEAD_MAX_BYTES} bytes: send long values in the body of a POST"
        self.handle_error(None, conn.sock, conn.client, (LimitRequestLine if is_line else LimitRequestHeaders)(limit))
        self.nr_conns -= 1
        conn.close(graceful=True)

    def _drop(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()
