"""Interrupts another thread's read of a request body by shutting down the reading side of its connection.

gunicorn gives the socket of a request. Granian does not, and its threads block in Rust. So this module answers the
request itself with a response of a unique length, and finds its connection as the one on which the kernel counts that
many bytes sent (``TCP_INFO``, Linux only).
"""

import contextlib
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from afterwrite.graphql_http.errors import HttpRefusal
from afterwrite.server.bodies import Body
from afterwrite.server.tcp_connections import Connection, can_count, connections_of, shut_down, state_of

Answer = Callable[[Mapping[str, Any], HttpRefusal], tuple[int, list[tuple[str, str]], bytes]]
PROTOCOL = "granian.protocol"
"""The environ key under which ``serving.py`` puts Granian's protocol object, which sends responses."""

_log = logging.getLogger("afterwrite.access")
_LEAVES_WITHIN_SECONDS = 0.5
_TAKES_NOTHING_MS = 2_000
_PADDING_MAX = 8_192
_ADDED = "server: granian\r\ndate: Sun, 29 Nov 2026 12:00:00 GMT\r\n\r\n"


@dataclass(slots=True, eq=False)
class _Answered:
    """A body whose request was answered here.

    ``before`` has the bytes written so far to each connection that may be the request's: those to which nothing else
    was written since.
    """

    body: Body
    length: int
    before: dict[Connection, int]


def can_end(environ: Mapping[str, Any]) -> bool:
    """Whether another thread can interrupt the read of this request's body."""
    return "gunicorn.socket" in environ or (PROTOCOL in environ and can_count())


class Ending:
    """Interrupts reads of bodies; used from one thread."""

    def __init__(self, answer: Answer) -> None:
        """``answer`` makes the response to a request whose thread is blocked."""
        self._make_answer = answer
        self._unanswered: list[Body] = []
        self._answered: list[_Answered] = []

    @property
    def waiting(self) -> list[Body]:
        """The interrupted bodies whose threads are still blocked."""
        return [*self._unanswered, *(answered.body for answered in self._answered)]

    def end(self, bodies: Sequence[Body]) -> None:
        """Unblock the threads that read these bodies, and answer each request with ``body.refused``.

        Call it repeatedly while some are ``waiting``. Raises OSError if no file descriptor is left.
        """
        for body in bodies:
            if "gunicorn.socket" in body.environ:
                _end_input_of_gunicorn(body)
            elif can_end(body.environ):
                self._unanswered.append(body)
        is_new = bool(self._unanswered)
        if is_new:
            self._answer()
        self._end_those_that_sent()
        pause, until = threading.Event(), time.monotonic() + _LEAVES_WITHIN_SECONDS
        while is_new and self._answered and time.monotonic() < until:
            pause.wait(0.002)  # the kernel does not notify when a response leaves
            self._end_those_that_sent()
        self._end_those_that_take_nothing()

    def _answer(self) -> None:
        before = _written_to(connections_of({body.port for body in self._unanswered}))
        lengths = {answered.length for answered in self._answered}
        while self._unanswered:
            body = self._unanswered.pop()
            status, headers, content = self._made(body)
            padding = random.randrange(_PADDING_MAX)  # noqa: S311 - it only tells answers apart
            while (length := _length(body, status, headers, content, padding)) in lengths:
                padding = random.randrange(_PADDING_MAX)  # noqa: S311
            lengths.add(length)
            mine = {connection: written for connection, written in before.items() if connection.host == body.peer}
            self._answered.append(_Answered(body, length, mine))
            # Trailing spaces are harmless in JSON and HTML. Granian takes one response per request and drops the one
            # that the thread gives later.
            body.environ[PROTOCOL].response_bytes(status, headers, content + b" " * padding)

    def _made(self, body: Body) -> tuple[int, list[tuple[str, str]], bytes]:
        assert body.refused is not None
        try:
            status, headers, content = self._make_answer(body.environ, body.refused)
        except Exception:  # noqa: BLE001 - the thread must be unblocked in any case
            _log.exception("cannot make the error page for a slow request body, closing its connection")
            status, headers, content = body.refused.status, [("Connection", "close")], b""
        return status, [pair for pair in headers if pair[0].lower() != "content-length"], content

    def _end_those_that_sent(self) -> None:
        self._answered = [answered for answered in self._answered if not answered.body.is_back]
        now = _written_to({connection for answered in self._answered for connection in answered.before})
        for answered in self._answered:
            for connection, written in list(answered.before.items()):
                more = now.get(connection, 0) - written
                if more == answered.length:
                    shut_down(connection, socket.SHUT_RD)
                if more != 0:
                    del answered.before[connection]

    def _end_those_that_take_nothing(self) -> None:
        """End the connections of clients that accept no bytes: they did not get the response either."""
        peers = {answered.body.peer for answered in self._answered}
        for connection in connections_of({answered.body.port for answered in self._answered}) if peers else ():
            state = state_of(connection) if connection.host in peers else None
            if state is not None and state.has_unsent and state.sent_ms >= _TAKES_NOTHING_MS:
                shut_down(connection, socket.SHUT_RD)


def _written_to(connections: Iterable[Connection]) -> dict[Connection, int]:
    states = ((connection, state_of(connection)) for connection in connections)
    return {connection: state.written_bytes for connection, state in states if state is not None}


def _length(body: Body, status: int, headers: Sequence[tuple[str, str]], content: bytes, padding: int) -> int:
    """The size of the response as Granian writes it, with Server, Content-Length and Date."""
    size = len(content) + padding
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-length: {size}\r\n{_ADDED}"
    fields = sum(len(name) + len(value) + 4 for name, value in headers)
    return len(head) + fields + (0 if body.environ["REQUEST_METHOD"] == "HEAD" else size)


def _end_input_of_gunicorn(body: Body) -> None:
    try:
        connection = socket.socket(fileno=os.dup(body.environ["gunicorn.socket"].fileno()))
    except OSError:  # already closed
        return
    with connection, contextlib.suppress(OSError):  # the client disconnected
        connection.shutdown(socket.SHUT_RD)
