"""Disconnects clients that read responses slowly while too many threads wait for them.

HTTP servers have no write timeout, and the sending thread blocks. Linux only: the kernel reports which connections have
unsent bytes.
"""

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from afterwrite.access.slowing import place_of
from afterwrite.base.settings import Settings
from afterwrite.server.bodies import PIECE_BYTES
from afterwrite.server.ending import GRANIAN
from afterwrite.server.tcp_connections import Connection, can_count, connections_of, shut_down, state_of
from afterwrite.server.watch import Watch

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SLOW_SECONDS = 1.0
_STOP_SECONDS = 2.0


class _Taken(NamedTuple):
    bytes: int
    since: float


class _Slow(NamedTuple):
    """A connection of a slow client: how many from its address are slower, and how long this one has been slow."""

    rank: int
    seconds: float
    connection: Connection


class SlowAnswers:
    """Watches the sending of responses from a thread of its own; thread-safe.

    Of the threads that are not reserved for waits and event streams, all but one may be blocked by slow clients for
    more than a second. For each one more, a client is disconnected, those of the address with the most first. While a
    thread is blocked, a client that takes less than 64 KiB in ``BODY_SECONDS`` is disconnected too.
    """

    def __init__(self, settings: Settings, is_stopping: Callable[[], bool] = lambda: False) -> None:
        """While ``is_stopping``, slow clients get two seconds."""
        self._is_stopping = is_stopping
        self._places = max(1, settings.threads - settings.max_waiters - settings.stream_threads - 1)
        self._seconds = settings.body_seconds
        self._ports: set[int] = set()
        self._sending: dict[int, float] = {}
        self._taken: dict[Connection, _Taken] = {}
        self._watch = Watch("slow-answers", lambda: bool(self._sending), self._check)

    def around(self, application: "WSGIApplication") -> "WSGIApplication":
        """Wrap the application so that the sending of its responses is watched."""
        if not can_count():
            return application

        def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            port = int(environ.get("SERVER_PORT") or 0)  # ours, before ProxyFix replaces it
            pieces = application(environ, start_response)
            if isinstance(pieces, list) and GRANIAN in environ:
                return pieces  # Granian takes it as a whole, so no thread blocks
            self._ports.add(port)
            self._watch.wake()
            return _Watched(pieces, self._sending)

        return answer

    def _check(self, now: float) -> None:
        waiting = sum(now - since >= SLOW_SECONDS for since in list(self._sending.values()))
        if not waiting:
            self._taken.clear()
            return
        longest = min(self._seconds, _STOP_SECONDS) if self._is_stopping() else self._seconds
        slow = self._slow_connections(now)
        over = set(slow[: max(0, waiting - self._places)])
        for one in slow:
            if one in over or one.seconds >= longest:
                shut_down(one.connection, socket.SHUT_RDWR)

    def _slow_connections(self, now: float) -> list[_Slow]:
        """The connections of slow clients, in the order in which to disconnect them."""
        before, self._taken = self._taken, {}
        for connection in connections_of(self._ports):
            state = state_of(connection)
            if state is not None and state.has_unsent:
                taken = before.get(connection)
                if taken is None or state.taken_bytes - taken.bytes >= PIECE_BYTES:
                    taken = _Taken(state.taken_bytes, now)
                self._taken[connection] = taken
        slow, of_address = [], Counter[str]()
        for connection, taken in sorted(self._taken.items(), key=lambda item: item[1].since):
            if now - taken.since >= SLOW_SECONDS:
                address = place_of(connection.host)
                slow.append(_Slow(of_address[address], now - taken.since, connection))
                of_address[address] += 1
        return sorted(slow, key=lambda one: (-one.rank, one.seconds))


class _Watched:
    """The pieces of one response; records when the server took the piece that it is sending."""

    __slots__ = ("_next", "_pieces", "_sending")

    def __init__(self, pieces: Iterable[bytes], sending: dict[int, float]) -> None:
        self._pieces, self._sending = pieces, sending
        self._next = iter(pieces).__next__

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._sending.pop(id(self), None)
        piece = self._next()
        self._sending[id(self)] = time.monotonic()
        return piece

    def close(self) -> None:
        """Called by the server when the response is sent or has failed."""
        self._sending.pop(id(self), None)
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()

    def __del__(self) -> None:
        self._sending.pop(id(self), None)  # a server need not close an aborted response
