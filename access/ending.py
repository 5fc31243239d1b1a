"""Ends the reading of a body in another thread, by shutting down the reading side of its connection.

gunicorn tells which socket a request came from. Granian does not, and its threads wait in Rust. So the answer is given
to Granian from here, and the connection is the one on which it then leaves: the kernel says when each of them sent and
received last (``TCP_INFO``, Linux only).
"""

import contextlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from access.bodies import Body
from access.refusal import Refused
from access.tcp_connections import Connection, connections_of, end_input, state_of

Answer = Callable[[Mapping[str, Any], Refused], tuple[int, list[tuple[str, str]], bytes]]
PROTOCOL = "granian.protocol"
"""Where ``serving.py`` puts what Granian answers through."""

_log = logging.getLogger("afterwrite.access")
_OLD_MS = 500
_LEAVES_WITHIN_SECONDS = 0.5
_CLOCK_MS = 10  # the kernel counts in ticks


def can_end(environ: Mapping[str, Any]) -> bool:
    """Whether the reading of this request's body can be ended from outside."""
    return "gunicorn.socket" in environ or (PROTOCOL in environ and sys.platform == "linux")


class Ending:
    """Ends the reading of bodies; used from one thread."""

    def __init__(self, seconds: int) -> None:
        """``seconds``: a client that takes none of our bytes for so long may be cut off."""
        self.answer: Answer | None = None
        self._seconds = seconds
        self._owed_since: dict[Connection, float] = {}
        self._left: list[Body] = []

    @property
    def is_busy(self) -> bool:
        """Whether threads still wait whose connections were not found yet."""
        return bool(self._left)

    def look(self, slow: Sequence[Body]) -> None:
        """Remember which connections owe an answer; to be called before ``end``, every quarter of a second."""
        now, before = time.monotonic(), self._owed_since
        self._owed_since = {}
        for connection in _connections_of(slow):
            state = state_of(connection)
            if state is not None and state.received_ms < state.sent_ms:
                since = before.get(connection, now)
                is_old = state.sent_ms >= (now - since) * 1_000 - _CLOCK_MS
                self._owed_since[connection] = since if is_old else now

    def end(self, bodies: Sequence[Body]) -> None:
        """Let the threads that wait for these bodies come back, each with the answer ``body.refused``."""
        self._left = [body for body in self._left if not body.is_back]
        for connection in _connections_of(self._left):
            state = state_of(connection)
            if state is not None and state.has_unsent and state.sent_ms >= self._seconds * 1_000:
                end_input(connection)  # it takes nothing, so it did not take the answer either
        of_granian = []
        for body in bodies:
            if "gunicorn.socket" in body.environ:
                _end_input_of_gunicorn(body)
            elif can_end(body.environ):
                of_granian.append(body)
        if of_granian:
            self._end_in_granian(of_granian)

    def _end_in_granian(self, bodies: Sequence[Body]) -> None:
        now = time.monotonic()
        old = {}
        for connection in _connections_of(bodies):
            state = state_of(connection)
            if state is not None and state.sent_ms >= _OLD_MS:
                old[connection] = (now - self._owed_since.get(connection, now)) * 1_000 >= _OLD_MS
        for body in bodies:
            self._answer(body)
        self._left += bodies
        pause, until = threading.Event(), now + _LEAVES_WITHIN_SECONDS
        while any(not body.is_back for body in bodies) and time.monotonic() < until:
            _end_those_that_sent(old, now)
            pause.wait(0.002)  # the kernel does not tell that an answer left

    def _answer(self, body: Body) -> None:
        assert self.answer is not None and body.refused is not None
        try:
            status, headers, content = self.answer(body.environ, body.refused)
        except Exception:  # noqa: BLE001 - the thread must come back, whatever its answer
            _log.exception("the answer to a request whose body came too slowly could not be made")
            status, headers, content = body.refused.status, [("Connection", "close")], b""
        # Granian takes one answer for each request: what the thread itself answers later goes nowhere.
        body.environ[PROTOCOL].response_bytes(status, headers, content)


def _end_those_that_sent(old: dict[Connection, bool], since: float) -> None:
    """End the input of those that have sent something since, and not in answer to what came since."""
    for connection, owed_long in list(old.items()):
        state = state_of(connection)
        passed_ms = (time.monotonic() - since) * 1_000 + _CLOCK_MS
        if state is None:
            del old[connection]
        elif state.sent_ms <= passed_ms and (owed_long or state.received_ms > passed_ms):
            end_input(connection)
            del old[connection]


def _connections_of(bodies: Sequence[Body]) -> list[Connection]:
    of_granian = [body for body in bodies if PROTOCOL in body.environ and can_end(body.environ)]
    if not of_granian:
        return []
    port = int(of_granian[0].environ["SERVER_PORT"])
    return connections_of(port, {body.peer for body in of_granian})


def _end_input_of_gunicorn(body: Body) -> None:
    try:
        connection = socket.socket(fileno=os.dup(body.environ["gunicorn.socket"].fileno()))
    except OSError:  # closed meanwhile
        return
    with connection, contextlib.suppress(OSError):  # the client went away
        connection.shutdown(socket.SHUT_RD)
