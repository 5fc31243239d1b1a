"""Runs the WSGI application in Granian's Python threads, over its ASGI interface.

Granian's WSGI interface neither says which connection a request came on nor lets another thread end the read of a
body, and it holds a thread for each response that is not sent yet. Its ASGI interface does all of that, and calls the
worker in the same threads. So requests are as fast, and one port serves them and event streams.
"""

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from afterwrite.graphql_http.streams import CARRIER, SOCKET
from afterwrite.server.ending import GRANIAN
from afterwrite.server.granian_exchange import NO_BODY, Answer, Exchange, Input
from afterwrite.server.request_sockets import RequestSockets
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

    class Scheduler(CallbackScheduler):
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
        self._sockets = RequestSockets()
        self._busy = 0
        self._waiting: deque[tuple[Any, Any]] = deque()
        self._lock = threading.Lock()
        self._silent: dict[Input, tuple[float, Any]] = {}
        self._watch = Watch("first-bytes", lambda: bool(self._silent), self._start_silent)

    def take(self, request: Any) -> None:
        """Answer a request of Granian, once the first piece of its body is there."""
        exchange = Exchange(request)
        del request
        try:
            length = _body_length(exchange.scope["headers"])
            if length == 0:
                self._run(exchange, NO_BODY)
                return
            body = Input(exchange, length)
            self._silent[body] = time.monotonic(), exchange
            self._watch.wake()
            body.begin(lambda: self._start(body))
        except Exception:  # noqa: BLE001 - no request may end its thread
            _log.exception("a request could not be taken")
            exchange.fail()

    def _start(self, body: Input) -> None:
        _, exchange = self._silent.pop(body, (0.0, None))
        if exchange is not None:
            self._run(exchange, body)

    def _start_silent(self, now: float) -> None:
        """Start requests whose bodies do not begin: the application decides how long it waits for them."""
        for body, (since, _) in list(self._silent.items()):
            if now - since >= _SILENT_SECONDS:
                threading.Thread(target=self._start, args=(body,), name="silent-body", daemon=True).start()

    def _run(self, exchange: Exchange, body: Any) -> None:
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

    def _answer(self, exchange: Exchange, body: Any) -> None:
        try:
            environ = _environ(self._base, exchange.scope, body)
            response = Answer(exchange)
            environ[CARRIER] = response.take_stream
            if "HTTP_UPGRADE" in environ and _takes_upgrade(environ):
                environ[SOCKET] = partial(self._sockets.duplicate, *_addresses(exchange.scope))
            pieces = self._application(environ, response.start)
            if response.stream is not None:
                response.carry_stream(pieces)
            elif isinstance(pieces, list):
                response.send(b"".join(pieces))
            else:
                response.send_pieces(pieces, is_read=body.is_read)
        except Exception:  # noqa: BLE001 - no request may end its thread
            _log.exception("a request failed outside of the application")
            exchange.fail()
        finally:
            exchange.release()


def _takes_upgrade(environ: "WSGIEnvironment") -> bool:
    """Whether a request asks for a WebSocket that can be had; Flask must not see that, it has no rules for them."""
    is_websocket = environ["HTTP_UPGRADE"].lower() == "websocket" and environ["REQUEST_METHOD"] == "GET"
    is_websocket = is_websocket and RequestSockets.is_supported
    if is_websocket:
        del environ["HTTP_UPGRADE"]
    return is_websocket


def _addresses(scope: dict[str, Any]) -> tuple[tuple[str, int], int]:
    (host, port), (_, own_port) = scope["client"], scope["server"]
    return (host, int(port)), int(own_port)


def _base_environ() -> dict[str, Any]:
    """What the environments of all requests have in common (PEP 3333)."""
    return {
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
