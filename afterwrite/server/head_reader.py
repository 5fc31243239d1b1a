"""Reads request heads for gunicorn in the thread that accepts, so that slow ones hold no thread."""

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

_HEAD_END = re.compile(rb"\n\r?\n")  # also that of a head with bare line feeds: the parser refuses it
_HEAD_SECONDS_AT_STOP = 2.0


class HeadReader(gunicorn.workers.gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A gthread worker that reads request heads without holding a thread for each.

    gunicorn's own gives a thread to every connection that has sent a byte, for as long as its head takes. Here the
    thread that accepts collects heads, of any number of connections, and a thread gets whole ones. A connection is
    closed when it has sent no whole head in HEAD_SECONDS.
    """

    def enqueue_req(self, conn: Any) -> None:
        """Begin to read the head of a connection's next request."""
        if conn.sock.gettimeout() != 0:
            conn.sock.setblocking(False)
        # A parser may have read past the body of the request before.
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
        """Read on in a head."""
        if then := self._read_head(conn):
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            then(conn)

    def _read_head(self, conn: Any) -> Callable[[Any], None] | None:
        """Take what has come of a head; returns what to do with the connection, None when more is to come."""
        try:
            if self.cfg.is_ssl and conn.parser is None and not isinstance(conn.sock, ssl.SSLSocket):
                conn.sock = gunicorn.sock.ssl_wrap_socket(conn.sock, self.cfg)
            while not _HEAD_END.search(conn.head, conn.searched):
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
        return self._hand_over

    def _hand_over(self, conn: Any) -> None:
        """Let a thread answer the request whose head is there."""
        if conn.parser is None:
            conn.parser = gunicorn.http.get_parser(self.cfg, conn.sock, conn.client)
            conn.initialized = True
        conn.parser.unreader.unread(bytes(conn.head))
        super().enqueue_req(conn)

    def _refuse_long_head(self, conn: Any) -> None:
        is_line = b"\n" not in conn.head
        what = "the request line" if is_line else "the head of the request"
        limit = f"{what} has more than {HEAD_MAX_BYTES} bytes: send what is long in the body of a POST"
        self.handle_error(
            None, conn.sock, conn.client, (LimitRequestLine if is_line else LimitRequestHeaders)(limit)
        )
        self.nr_conns -= 1
        conn.close(graceful=True)

    def _drop(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()
