"""Opens the WebSocket connections of a GraphQLView, and executes their operations."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, current_app, request
from websockets.datastructures import Headers
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

from afterwrite.graphql_http.errors import HttpRefusal
from afterwrite.graphql_http.streams import SOCKET, LoopStream
from afterwrite.graphql_http.transport_ws import GOING_AWAY, SUBPROTOCOL, Connection

if TYPE_CHECKING:
    from afterwrite.graphql_http.view import GraphQLView

_THREADS = 8
_KEPT = ("HTTP_", "REQUEST_", "SERVER_", "REMOTE_", "PATH_INFO", "QUERY_STRING", "SCRIPT_NAME", "wsgi.", "afterwrite.")


class WebSocketEndpoint:
    """The WebSocket connections of one view. Thread-safe."""

    def __init__(
        self,
        view: GraphQLView,
        submit: Callable[[Coroutine[Any, Any, Any]], Future[Any]],
        *,
        check_origin: Callable[[Request], None],
        sign_in: Callable[[Request, Mapping[str, Any]], None],
        count: Callable[[Request], None],
    ) -> None:
        """The arguments are those of GraphQLView."""
        self.view, self.sign_in, self.count = view, sign_in, count
        self._submit, self._check_origin = submit, check_origin
        self.threads = ThreadPoolExecutor(_THREADS, "websocket")
        self._open: dict[Connection, asyncio.AbstractEventLoop] = {}
        self._is_stopping = False
        self._lock = threading.Lock()

    def answer(self, http: Request) -> Response:
        """Answers a handshake and opens the connection. Raises HttpRefusal."""
        self._check_origin(http)
        headers = Headers([*http.headers, ("Upgrade", "websocket")])
        answer = ServerProtocol(subprotocols=[SUBPROTOCOL]).accept(Handshake(http.path, headers))
        if answer.status_code != 101:
            return Response(bytes(answer.body or b""), answer.status_code, list(answer.headers.raw_items()))
        holder = self.view.take_slot(http)
        client: socket.socket | None = http.environ[SOCKET]()
        if client is None or self._is_stopping:
            self.view.give_slot_back(holder)
            raise HttpRefusal(503, "The connection cannot be taken over: try again", "SERVER_BUSY")
        operations = ConnectionOperations(self, current_app._get_current_object(), http, holder)  # type: ignore[attr-defined]
        self._submit(self._start(client, operations))
        return Response(status=101, headers=[pair for pair in answer.headers.raw_items() if pair[0] != "Date"])

    def announce_stop(self) -> None:
        """Closes every connection with code 1001, now and from now on."""
        with self._lock:
            self._is_stopping = True
            for connection, loop in self._open.items():
                loop.call_soon_threadsafe(connection.close, GOING_AWAY, "The server is stopping")

    def forget(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._open.pop(connection, None)

    async def _start(self, client: socket.socket, operations: ConnectionOperations) -> None:
        loop = asyncio.get_running_loop()
        connection = operations.connection = Connection(operations, self.view.limits.max_body_bytes)
        with self._lock:
            self._open[connection] = loop
        client.setblocking(False)
        await loop.connect_accepted_socket(lambda: connection, client)
        if self._is_stopping:
            connection.close(GOING_AWAY, "The server is stopping")


class ConnectionOperations:
    """The operations of one connection, each in a request context of Flask with the environ of the handshake."""

    connection: Connection

    def __init__(self, endpoint: WebSocketEndpoint, app: Flask, http: Request, holder: str | None) -> None:
        self._endpoint, self._view, self._app = endpoint, endpoint.view, app
        self._environ = {name: value for name, value in http.environ.items() if name.startswith(_KEPT)}
        self._holder = holder
        self._has_subscription = False
        self._lock = threading.Lock()

    @property
    def threads(self) -> Executor:
        return self._endpoint.threads

    def sign_in(self, payload: Mapping[str, Any]) -> None:
        with self._app.request_context(self._environ):
            http = _this_request()
            self._endpoint.sign_in(http, payload)
            if self._view.holder_of(http) != self._holder:
                before, self._holder = self._holder, self._view.take_slot(http)
                self._view.give_slot_back(before)

    def begin(self, payload: Mapping[str, Any], frame: Callable[[Any], bytes]) -> LoopStream | bytes:
        with self._app.request_context(self._environ):
            http = _this_request()
            return self._view.begin(http, payload, frame, self)

    def count(self, http: Request) -> None:
        """Counts an operation. Raises HttpRefusal."""
        self._endpoint.count(http)

    def take_slot(self, http: Request) -> Callable[[], None]:
        """Takes a slot for a subscription, and returns what gives it back; the first one has that of the connection.

        Raises HttpRefusal, 503.
        """
        with self._lock:
            is_first, self._has_subscription = not self._has_subscription, True
        if is_first:
            return self._give_first_back
        return partial(self._view.give_slot_back, self._view.take_slot(http))

    def _give_first_back(self) -> None:
        self._has_subscription = False

    def closed(self) -> None:
        self._view.give_slot_back(self._holder)
        self._endpoint.forget(self.connection)


def _this_request() -> Request:
    found: Request = request._get_current_object()  # type: ignore[attr-defined]
    return found


async def from_thread(events: Iterator[Any], threads: Executor) -> AsyncIterator[Any]:
    """Gives the events of a synchronous iterator to the loop; its waits hold a thread."""
    loop, ended = asyncio.get_running_loop(), object()
    try:
        while (event := await loop.run_in_executor(threads, next, events, ended)) is not ended:
            yield event
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            loop.run_in_executor(threads, close)
