"""Ends the reading of a body in another thread, by shutting down the reading side of its connection.

gunicorn tells which socket a request came from. Granian does not, and its threads wait in Rust. So the request is
answered from here, with an answer of a length that no other one has, and the connection is the one on which so many
bytes leave: the kernel counts them (``TCP_INFO``, Linux only).
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
from afterwrite.server.tcp_connections import Connection, can_count, connections_of, end_input, state_of

Answer = Callable[[Mapping[str, Any], HttpRefusal], tuple[int, list[tuple[str, str]], bytes]]
PROTOCOL = "granian.protocol"
"""Where ``serving.py`` puts what Granian answers through."""

_log = logging.getLogger("afterwrite.access")
_LEAVES_WITHIN_SECONDS = 0.5
_TAKES_NOTHING_MS = 2_000
_PADDING_MAX = 8_192
_ADDED = "server: granian\r\ndate: Sun, 29 Nov 2026 12:00:00 GMT\r\n\r\n"


@dataclass(slots=True, eq=False)
class _Answered:
    """A body whose request was answered from here.

    ``before`` has what was written to each connection that it may have come on: all those to which nothing but an
    answer of this length was written since.
    """

    body: Body
    length: int
    before: dict[Connection, int]


def can_end(environ: Mapping[str, Any]) -> bool:
    """Whether the reading of this request's body can be ended from outside."""
    return "gunicorn.socket" in environ or (PROTOCOL in environ and can_count())


class Ending:
    """Ends the reading of bodies; used from one thread."""

    def __init__(self, answer: Answer) -> None:
        """``answer`` makes the answer of a request whose thread waits."""
        self._make_answer = answer
        self._unanswered: list[Body] = []
        self._answered: list[_Answered] = []

    @property
    def waiting(self) -> list[Body]:
        """The bodies that were ended and whose threads wait still."""
        return [*self._unanswered, *(answered.body for answered in self._answered)]

    def end(self, bodies: Sequence[Body]) -> None:
        """Let the threads that wait for these bodies come back, each with the answer ``body.refused``.

        To be called again and again while there are some ``waiting``. Raises OSError where no descriptor is left.
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
            pause.wait(0.002)  # the kernel does not tell that an answer left
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
            mine = {
                connection: written for connection, written in before.items() if connection.host == body.peer
            }
            self._answered.append(_Answered(body, length, mine))
            # Spaces end all that we answer with, JSON and HTML. Granian takes one answer for each request: what the
            # thread itself answers later goes nowhere.
            body.environ[PROTOCOL].response_bytes(status, headers, content + b" " * padding)

    def _made(self, body: Body) -> tuple[int, list[tuple[str, str]], bytes]:
        assert body.refused is not None
        try:
            status, headers, content = self._make_answer(body.environ, body.refused)
        except Exception:  # noqa: BLE001 - the thread must come back, whatever its answer
            _log.exception("the answer to a request whose body came too slowly could not be made")
            status, headers, content = body.refused.status, [("Connection", "close")], b""
        return status, [pair for pair in headers if pair[0].lower() != "content-length"], content

    def _end_those_that_sent(self) -> None:
        self._answered = [answered for answered in self._answered if not answered.body.is_back]
        now = _written_to({connection for answered in self._answered for connection in answered.before})
        for answered in self._answered:
            for connection, written in list(answered.before.items()):
                more = now.get(connection, 0) - written
                if more == answered.length:
                    end_input(connection)
                if more != 0:
                    del answered.before[connection]

    def _end_those_that_take_nothing(self) -> None:
        """A client that takes none of our bytes did not get the answer either."""
        peers = {answered.body.peer for answered in self._answered}
        for connection in (
            connections_of({answered.body.port for answered in self._answered}) if peers else ()
        ):
            state = state_of(connection) if connection.host in peers else None
            if state is not None and state.has_unsent and state.sent_ms >= _TAKES_NOTHING_MS:
                end_input(connection)


def _written_to(connections: Iterable[Connection]) -> dict[Connection, int]:
    states = ((connection, state_of(connection)) for connection in connections)
    return {connection: state.written_bytes for connection, state in states if state is not None}


def _length(body: Body, status: int, headers: Sequence[tuple[str, str]], content: bytes, padding: int) -> int:
    """The bytes of the answer as Granian writes it: with its name, the length and the date."""
    size = len(content) + padding
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-length: {size}\r\n{_ADDED}"
    fields = sum(len(name) + len(value) + 4 for name, value in headers)
    return len(head) + fields + (0 if body.environ["REQUEST_METHOD"] == "HEAD" else size)


def _end_input_of_gunicorn(body: Body) -> None:
    try:
        connection = socket.socket(fileno=os.dup(body.environ["gunicorn.socket"].fileno()))
    except OSError:  # closed meanwhile
        return
    with connection, contextlib.suppress(OSError):  # the client disconnected
        connection.shutdown(socket.SHUT_RD)
