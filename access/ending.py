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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from access.bodies import Body
from access.refusal import Refused
from access.tcp_connections import Connection, can_count, connections_of, end_input, state_of

Answer = Callable[[Mapping[str, Any], Refused], tuple[int, list[tuple[str, str]], bytes]]
PROTOCOL = "granian.protocol"
"""Where ``serving.py`` puts what Granian answers through."""

_log = logging.getLogger("afterwrite.access")
_QUIET_MS = 500  # the connection of a body that is ended has sent nothing for longer
_LEAVES_WITHIN_SECONDS = 0.5
_PADDING_MAX = 8_192
_ADDED = "server: granian\r\ndate: Sun, 29 Nov 2026 12:00:00 GMT\r\n\r\n"


@dataclass(slots=True, eq=False)
class _Answered:
    """A body whose request was answered from here: the answer's bytes, and what each connection had sent before."""

    body: Body
    length: int
    sent_before: dict[Connection, int]
    ended: set[Connection] = field(default_factory=set)


def can_end(environ: Mapping[str, Any]) -> bool:
    """Whether the reading of this request's body can be ended from outside."""
    return "gunicorn.socket" in environ or (PROTOCOL in environ and can_count())


class Ending:
    """Ends the reading of bodies; used from one thread."""

    def __init__(self, seconds: int) -> None:
        """``seconds``: a client that takes none of our bytes for so long is cut off."""
        self.answer: Answer | None = None
        self._seconds = seconds
        self._answered: list[_Answered] = []

    @property
    def is_busy(self) -> bool:
        """Whether threads still wait whose connections were not found yet."""
        return bool(self._answered)

    def end(self, bodies: Sequence[Body]) -> None:
        """Let the threads that wait for these bodies come back, each with the answer ``body.refused``.

        To be called again and again while ``is_busy``.
        """
        of_granian = []
        for body in bodies:
            if "gunicorn.socket" in body.environ:
                _end_input_of_gunicorn(body)
            elif can_end(body.environ):
                of_granian.append(body)
        self._answer(of_granian)
        self._end_those_that_sent()
        pause, until = threading.Event(), time.monotonic() + _LEAVES_WITHIN_SECONDS
        while of_granian and self._answered and time.monotonic() < until:
            pause.wait(0.002)  # the kernel does not tell that an answer left
            self._end_those_that_sent()
        self._end_those_that_take_nothing()

    def _answer(self, bodies: Sequence[Body]) -> None:
        quiet = {}
        for connection in _connections_of(bodies):
            state = state_of(connection)
            if state is not None and state.sent_ms >= _QUIET_MS:
                quiet[connection] = state.sent_bytes
        used = {answered.length for answered in self._answered}
        for body in bodies:
            status, headers, content = self._made(body)
            length = _length_on_the_wire(body, status, headers, content)
            padding = random.choice([n for n in range(_PADDING_MAX) if length + n not in used])  # noqa: S311
            content += b" " * padding  # ends all that we answer with: JSON and HTML
            used.add(length + padding)
            self._answered.append(_Answered(body, _length_on_the_wire(body, status, headers, content), quiet))
            # Granian takes one answer for each request: what the thread itself answers later goes nowhere.
            body.environ[PROTOCOL].response_bytes(status, headers, content)

    def _made(self, body: Body) -> tuple[int, list[tuple[str, str]], bytes]:
        assert self.answer is not None and body.refused is not None
        try:
            status, headers, content = self.answer(body.environ, body.refused)
        except Exception:  # noqa: BLE001 - the thread must come back, whatever its answer
            _log.exception("the answer to a request whose body came too slowly could not be made")
            status, headers, content = body.refused.status, [("Connection", "close")], b""
        return status, [pair for pair in headers if pair[0].lower() != "content-length"], content

    def _end_those_that_sent(self) -> None:
        self._answered = [answered for answered in self._answered if not answered.body.is_back]
        for answered in self._answered:
            for connection, before in answered.sent_before.items():
                state = state_of(connection)
                sent = state is not None and state.sent_bytes - before == answered.length
                if sent and connection not in answered.ended:
                    answered.ended.add(connection)
                    end_input(connection)

    def _end_those_that_take_nothing(self) -> None:
        """A client that takes none of our bytes did not get the answer either."""
        for connection in _connections_of([answered.body for answered in self._answered]):
            state = state_of(connection)
            if state is not None and state.has_unsent and state.sent_ms >= self._seconds * 1_000:
                end_input(connection)


def _length_on_the_wire(body: Body, status: int, headers: Sequence[tuple[str, str]], content: bytes) -> int:
    """The bytes of the answer as Granian writes it: with its name, the length and the date."""
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-length: {len(content)}\r\n{_ADDED}"
    fields = sum(len(name) + len(value) + 4 for name, value in headers)
    return len(head) + fields + (0 if body.environ["REQUEST_METHOD"] == "HEAD" else len(content))


def _connections_of(bodies: Sequence[Body]) -> list[Connection]:
    return connections_of({(body.port, body.peer) for body in bodies}) if bodies else []


def _end_input_of_gunicorn(body: Body) -> None:
    try:
        connection = socket.socket(fileno=os.dup(body.environ["gunicorn.socket"].fileno()))
    except OSError:  # closed meanwhile
        return
    with connection, contextlib.suppress(OSError):  # the client went away
        connection.shutdown(socket.SHUT_RD)
