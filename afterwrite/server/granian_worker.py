"""Runs the WSGI application in Granian's Python threads, over its ASGI interface.

Granian's WSGI interface neither says which connection a request came on nor lets another thread end the read of a
body, and it holds a thread for each response that is not sent yet. Its ASGI interface does all of that, and calls the
worker in the same threads. So requests are as fast, and one port serves them and event streams.
"""

import asyncio
import io
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future
from functools import lru_cache
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from afterwrite.server.ending import GRANIAN
from afterwrite.server.watch import Watch

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

DELIVERING_THREADS = 2
"""Threads in addition to those of the application: Granian delivers what has arrived in its Python threads too."""

_log = logging.getLogger("afterwrite.server")
_SILENT_SECONDS = 1.0


def serve(start: Callable[..., None], application: "WSGIApplication", threads: int, stopped: Any) -> None:
    """Answer the requests of a worker of Granian's ASGI interface in at most ``threads`` threads, until ``stopped``.

    ``start`` starts the worker; this returns when it has started.
    """
    from granian._granian import CallbackScheduler

    class Scheduler(CallbackScheduler):  # type: ignore[misc]
        def __init__(self, *_arguments: object) -> None:
            self._schedule_fn = Requests(application, threads).take

    loop = _InDeliveringThread()
    start(Scheduler(loop, None, None, None, None), loop, stopped)


class _InDeliveringThread:
    """Takes the place of the event loop at Granian's futures: their callbacks run in the thread that completes them."""

    create_future = Future

    @staticmethod
    def call_soon_threadsafe(callback: Callable[..., object], *arguments: Any, context: Any = None) -> None:
        callback(*arguments)

    call_soon = call_soon_threadsafe


class Requests:
    """Answers the requests of one worker, each in the thread that brings it while fewer than ``threads`` are busy."""

    def __init__(self, application: "WSGIApplication", threads: int) -> None:
        self._application, self._threads = application, threads
        self._base = _base_environ()
        self._busy = 0
        self._waiting: deque[tuple[Any, Any]] = deque()
        self._lock = threading.Lock()
        self._silent: dict[_Input, tuple[float, Any]] = {}
        self._watch = Watch("first-bytes", lambda: bool(self._silent), self._start_silent)

    def take(self, request: Any) -> None:
        """Answer a request of Granian, once the first piece of its body is there."""
        exchange = _Exchange(request)
        del request
        try:
            length = _body_length(exchange.scope["headers"])
            if length == 0:
                self._run(exchange, _EMPTY)
                return
            body = _Input(exchange, length)
            self._silent[body] = time.monotonic(), exchange
            self._watch.wake()
            body.begin(lambda: self._start(body))
        except Exception:  # noqa: BLE001 - no request may end its thread
            _log.exception("a request could not be taken")
            exchange.fail()

    def _start(self, body: "_Input") -> None:
        _, exchange = self._silent.pop(body, (0.0, None))
        if exchange is not None:
            self._run(exchange, body)

    def _start_silent(self, now: float) -> None:
        """Start requests whose bodies do not begin: the application decides how long it waits for them."""
        for body, (since, _) in list(self._silent.items()):
            if now - since >= _SILENT_SECONDS:
                threading.Thread(target=self._start, args=(body,), name="silent-body", daemon=True).start()

    def _run(self, exchange: "_Exchange", body: Any) -> None:
        with self._lock:
            if self._busy >= self._threads:
                self._waiting.append((exchange, body))
                return
            self._busy += 1
        while True:
            self._answer(exchange, body)
            with self._lock:
                if not self._waiting:
                    self._busy -= 1
                    return
                exchange, body = self._waiting.popleft()

    def _answer(self, exchange: "_Exchange", body: Any) -> None:
        try:
            environ = _environ(self._base, exchange.scope, body)
            response = _Response(exchange)
            pieces = self._application(environ, response.start)
            if isinstance(pieces, list):
                response.send(b"".join(pieces))
            else:
                response.send_pieces(pieces, is_read=body.is_read)
        except Exception:  # noqa: BLE001 - no request may end its thread
            _log.exception("a request failed outside of the application")
            exchange.fail()
        finally:
            exchange.release()


class _Exchange:
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


class _Response:
    """Sends one response."""

    __slots__ = ("_exchange", "_head", "_is_gone")

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        self._head: dict[str, Any] = {}
        self._is_gone = False

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
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
                self._watch_client(proto)
            for piece in pieces:
                if self._is_gone:
                    return
                _wait(proto.send({"type": "http.response.body", "body": piece, "more_body": True}))
        finally:
            proto.send({"type": "http.response.body", "body": b""})
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _watch_client(self, proto: Any) -> None:
        def told(future: Any) -> None:
            if future.result()["type"] == "http.disconnect":
                self._is_gone = True
            else:
                self._watch_client(proto)

        _then(proto.receive(), told)


def _write(_data: bytes) -> None:
    raise NotImplementedError("write() of WSGI is not supported: return the body")


class _Input:
    """The ``wsgi.input`` of a request, filled by Granian; another thread may end its read."""

    __slots__ = ("_buffer", "_exchange", "_future", "_left", "_pieces", "_started", "is_read")

    def __init__(self, exchange: _Exchange, length: int | None) -> None:
        """``length`` is None if the head does not say it."""
        self._exchange, self._left = exchange, length
        self._buffer = b""
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()
        self._future: Any = None
        self._started: Callable[[], None] | None = None
        self.is_read = False

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
        """End the read of another thread: it gets what has arrived."""
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


_EMPTY = _NoBody()


def _base_environ() -> dict[str, Any]:
    """What the environments of all requests have in common (PEP 3333)."""
    return dict(os.environ) | {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SCRIPT_NAME": "",
        "SERVER_SOFTWARE": "Granian",
        "wsgi.version": (1, 0),
        "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": True,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        GRANIAN: True,
    }


def _environ(base: "WSGIEnvironment", scope: dict[str, Any], body: Any) -> "WSGIEnvironment":
    raw_path: bytes = scope["raw_path"]
    environ = base | {
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": scope["server"][1],
        "REMOTE_ADDR": scope["client"][0],
        "REMOTE_PORT": scope["client"][1],
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": (unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
    }
    for name, value in scope["headers"]:
        key, text = _key_of(name), value.decode("latin-1")
        if key in environ:
            joint = ";" if name == b"cookie" else ","
            text = f"{environ[key]}{joint}{text}"
        environ[key] = text
    return environ


@lru_cache(maxsize=1_000)
def _key_of(name: bytes) -> str:
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _body_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """The length of a body: 0 without one, None if it comes in chunks."""
    length: int | None = 0
    for name, value in headers:
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            return None
    return length
