"""One request of Granian's ASGI interface: its body, read in a thread, and its answer or event stream."""

import asyncio
import io
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future
from functools import lru_cache
from queue import SimpleQueue
from typing import Any

from afterwrite.base.background import Signal
from afterwrite.graphql_http.streams import LoopStream
from afterwrite.server.tcp_connections import can_count, connections_of, plain_address, shut_down

_UNREAD_SECONDS = 30.0


class Exchange:
    """A request of Granian until it is answered: then Granian must be free to close the connection.

    Frames in the traceback of an error would keep the request, so they have this in its place.
    """

    __slots__ = ("_request", "scope")

    def __init__(self, request: Any) -> None:
        self._request = request
        self.scope: dict[str, Any] = request.scope

    @property
    def proto(self) -> Any:
        return self._request.proto

    def fail(self) -> None:
        """Answer with status 500 if nothing was answered."""
        self._request.done()

    def release(self) -> None:
        self._request = None


class Answer:
    """Sends one response."""

    __slots__ = ("_exchange", "_head", "_is_gone", "stream")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._head: dict[str, Any] = {}
        self._is_gone = False
        self.stream: LoopStream | None = None

    def take_stream(self, stream: LoopStream) -> None:
        """Send this stream after the head, in place of the body."""
        self.stream = stream

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        encoded = [_encoded(name, value) for name, value in headers]
        self._head = {"type": "http.response.start", "status": int(status[:3]), "headers": encoded}
        return _write

    def send(self, body: bytes) -> None:
        proto = self._exchange.proto
        proto.send(self._head)
        proto.send({"type": "http.response.body", "body": body})

    def send_pieces(self, pieces: Iterable[bytes], *, is_read: bool) -> None:
        """Send the pieces, each when there is room for it, until the client is gone."""
        proto = self._exchange.proto
        try:
            proto.send(self._head)
            if is_read:
                _when_gone(proto, self._go)
            for piece in pieces:
                if self._is_gone:
                    return
                _wait(proto.send({"type": "http.response.body", "body": piece, "more_body": True}))
        finally:
            proto.send({"type": "http.response.body", "body": b""})
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def carry_stream(self, pieces: Any) -> None:
        """Send the stream's chunks from its loop, while the thread goes on."""
        stream, proto = self.stream, self._exchange.proto
        assert stream is not None
        pieces.close()
        proto.send(self._head)
        carrier = _Carrier(proto, self._exchange.scope)
        if self._exchange.scope["method"] == "HEAD":
            stream.close()
            carrier.close()
            return
        stream.carry(carrier)
        _when_gone(proto, stream.close)

    def _go(self) -> None:
        self._is_gone = True


def _when_gone(proto: Any, call: Callable[[], None]) -> None:
    """Call when the client has disconnected, or the response is sent; call this after the body is read."""

    def told(future: Any) -> None:
        if future.result()["type"] == "http.disconnect":
            call()
        else:
            _when_gone(proto, call)

    _then(proto.receive(), told)


class _Carrier:
    """Sends the chunks of one event stream, from the loop."""

    __slots__ = ("_proto", "_scope")

    def __init__(self, proto: Any, scope: dict[str, Any]) -> None:
        self._proto, self._scope = proto, scope

    async def send(self, chunk: bytes) -> None:
        """Return when there is room for the next chunk. Raises TimeoutError for a client that does not read."""
        sent = self._proto.send({"type": "http.response.body", "body": chunk, "more_body": True})
        if hasattr(sent, "add_done_callback"):
            room = Signal()
            sent.add_done_callback(lambda _: room.set())
            if not await room.wait(_UNREAD_SECONDS):
                await asyncio.to_thread(self._disconnect)
                raise TimeoutError(f"its client has read nothing for {_UNREAD_SECONDS:.0f} s")

    def close(self) -> None:
        self._proto.send({"type": "http.response.body", "body": b""})

    def _disconnect(self) -> None:
        host, port = plain_address(self._scope["client"][0]), int(self._scope["client"][1])
        for connection in connections_of({int(self._scope["server"][1])}) if can_count() else ():
            if (connection.host, connection.port) == (host, port):
                shut_down(connection, socket.SHUT_RDWR)


@lru_cache(maxsize=2_000)
def _encoded(name: str, value: str) -> tuple[bytes, bytes]:
    return name.encode("latin-1"), value.encode("latin-1")


def _write(_data: bytes) -> None:
    raise NotImplementedError("write() of WSGI is not supported: return the body")


class Input:
    """The ``wsgi.input`` of a request, filled by Granian; another thread may end its read."""

    __slots__ = ("_buffer", "_exchange", "_future", "_is_ended", "_left", "_pieces", "_started", "is_read")

    def __init__(self, exchange: Exchange, length: int | None) -> None:
        """``length`` is None if the head does not say it."""
        self._exchange, self._left = exchange, length
        self._buffer = b""
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()
        self._future: Any = None
        self._started: Callable[[], None] | None = None
        self._is_ended = self.is_read = False

    def begin(self, started: Callable[[], None]) -> None:
        """Ask for the first piece; ``started`` is called when it is there."""
        self._started = started
        self._ask()

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes, fewer only at the end of the body or of the read; without a size, the whole body."""
        found = [self._buffer]
        count = len(self._buffer)
        while not self.is_read and (size < 0 or count < size):
            piece = self._next()
            if piece is None:
                break
            found.append(piece)
            count += len(piece)
        joined = b"".join(found)
        size = count if size < 0 else size
        self._buffer = joined[size:]
        return joined[:size]

    def end(self) -> None:
        """End the read of another thread, for good: it gets what has arrived."""
        self._is_ended = True
        future = self._future
        if future is not None:
            future.cancel()  # Granian drops the body and with it the connection

    def _next(self) -> bytes | None:
        piece = self._pieces.get()
        if piece is None:
            self.is_read = True
        elif self._left is not None:
            self._left -= len(piece)
            self.is_read = self._left <= 0
        if not self.is_read:
            self._ask()
        return piece

    def _ask(self) -> None:
        future = self._exchange.proto.receive()
        self._future = future
        _then(future, self._arrived)
        if self._is_ended:  # between two pieces, when there was no future to cancel
            self.end()

    def _arrived(self, future: Any) -> None:
        self._future = None  # Granian's futures keep their callbacks: a circle that nothing would free
        try:
            message = future.result()
            piece = message.get("body") or (b"" if message.get("more_body") else None)
        except (asyncio.CancelledError, CancelledError):
            piece = None
        self._pieces.put(piece)
        started, self._started = self._started, None
        if started is not None:
            started()


def _then(future: Any, callback: Callable[[Any], None]) -> None:
    """Call back with the future, in the thread that completes it, or here if it is complete."""
    if hasattr(future, "add_done_callback"):
        future.add_done_callback(callback)
    else:
        done: Future[Any] = Future()
        try:
            next(future.__await__())
        except StopIteration as end:
            done.set_result(end.value)
        callback(done)


def _wait(future: Any) -> None:
    """Wait for a future of Granian; most are complete."""
    if hasattr(future, "add_done_callback"):
        done = threading.Lock()
        done.acquire()
        future.add_done_callback(lambda _: done.release())
        done.acquire()


class _NoBody(io.BytesIO):
    """The ``wsgi.input`` of every request without a body."""

    is_read = True


NO_BODY = _NoBody()
