"""GraphQL over WebSocket, on an asyncio loop: the protocol graphql-transport-ws, which most client libraries speak.

The protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any, Protocol

from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, State
from websockets.protocol import Protocol as WebSocket
from websockets.typing import Subprotocol

from afterwrite.graphql_http.errors import HttpRefusal
from afterwrite.graphql_http.request import read_message
from afterwrite.graphql_http.streams import LoopStream

SUBPROTOCOL = Subprotocol("graphql-transport-ws")

GOING_AWAY, TOO_SLOW = 1001, 4413
BAD_MESSAGE, UNAUTHORISED, FORBIDDEN, INIT_TIMEOUT = 4400, 4401, 4403, 4408
DUPLICATE_ID, TOO_MANY_INITS, TOO_MANY_OPERATIONS = 4409, 4429, 4430
INIT_SECONDS = 10.0
PING_SECONDS = 25.0
OPERATIONS_MAX = 100
"""Operations that one connection may have under way."""
_BUFFER_BYTES = 64 << 10

logger = logging.getLogger(__name__)


class Operations(Protocol):
    """What the connections of one endpoint share."""

    @property
    def threads(self) -> Executor:
        """Runs `sign_in` and `begin`."""

    def sign_in(self, payload: Mapping[str, Any]) -> None:
        """Identifies the client by the payload of `connection_init`. Raises HttpRefusal."""

    def begin(self, payload: Mapping[str, Any], frame: Callable[[Any], bytes]) -> LoopStream | bytes:
        """Begins an operation: the stream of a subscription, or the JSON of another one's result.

        Raises OperationRefused.
        """

    def closed(self) -> None:
        """Called once, when the connection has ended."""


class OperationRefused(Exception):
    """An operation that was not executed; `errors` is the JSON of the list of its errors."""

    def __init__(self, errors: bytes) -> None:
        super().__init__(errors)
        self.errors = errors


class Connection(asyncio.Protocol):
    """One connection after its handshake; on the loop, but for `close_soon`."""

    def __init__(self, operations: Operations, message_bytes: int) -> None:
        """``message_bytes`` is the maximum size of a message."""
        self._protocol = WebSocket(SERVER, state=State.OPEN, max_size=message_bytes, logger=logger)
        self._operations = operations
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._streams: dict[str, LoopStream | None] = {}
        self._message: list[bytes] = []
        self._has_asked = self._is_acknowledged = False
        self._was_heard = True
        self._room = asyncio.Event()
        self._room.set()
        self._timer = self._loop.call_later(INIT_SECONDS, self.close, INIT_TIMEOUT, "Connection initialisation timeout")
        self._beat_timer = self._loop.call_later(PING_SECONDS, self._beat)

    def close(self, code: int, reason: str) -> None:
        """Close with this code, as far as the client still reads."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._flush()
            self._loop.call_later(PING_SECONDS, self._abort)
        self._end_streams()

    # -- asyncio.Protocol ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        self._was_heard = True
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            assert isinstance(frame, Frame)
            if frame.opcode is Opcode.BINARY:
                self.close(BAD_MESSAGE, "Messages are text")
            elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
                self._message.append(bytes(frame.data))
                if frame.fin:
                    text, self._message = b"".join(self._message), []
                    self._take(text)
        self._flush()

    def eof_received(self) -> bool:
        self._protocol.receive_eof()
        self._flush()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._beat_timer.cancel()
        self._room.set()
        self._end_streams()
        self._operations.closed()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    # -- messages -----------------------------------------------------------------------------------------------

    def _take(self, text: bytes) -> None:
        if self._protocol.state is not State.OPEN:
            return
        try:
            message = read_message(text)
        except HttpRefusal as refused:
            self.close(BAD_MESSAGE, refused.message[:100])
            return
        kind = message.get("type")
        payload = message.get("payload")
        if kind == "connection_init" and isinstance(payload, dict | None):
            self._initialise(payload or {})
        elif kind == "ping" and isinstance(payload, dict | None):
            self._send({"type": "pong"} | ({} if payload is None else {"payload": payload}))
        elif kind == "pong":
            return
        elif kind == "subscribe" and _is_id(message) and isinstance(payload, dict):
            self._subscribe(message["id"], payload)
        elif kind == "complete" and _is_id(message):
            stream = self._streams.pop(message["id"], None)
            if stream is not None:
                stream.close()
        else:
            self.close(BAD_MESSAGE, f"Invalid message of type {str(kind)[:40]!r}")

    def _initialise(self, payload: Mapping[str, Any]) -> None:
        if self._has_asked:
            self.close(TOO_MANY_INITS, "Too many initialisation requests")
            return
        self._has_asked = True
        signing_in = self._loop.run_in_executor(self._operations.threads, self._operations.sign_in, payload)
        signing_in.add_done_callback(self._acknowledge)

    def _acknowledge(self, signed_in: asyncio.Future[None]) -> None:
        if signed_in.cancelled():
            return
        refused = signed_in.exception()
        if refused is None:
            self._timer.cancel()
            self._is_acknowledged = True
            self._send({"type": "connection_ack"})
        else:
            if not isinstance(refused, HttpRefusal):
                logger.error("a connection could not be initialised", exc_info=refused)
            self.close(FORBIDDEN, "Forbidden")

    def _subscribe(self, operation_id: str, payload: Mapping[str, Any]) -> None:
        if not self._is_acknowledged:
            self.close(UNAUTHORISED, "Unauthorized")
        elif operation_id in self._streams:
            self.close(DUPLICATE_ID, f"Subscriber for {operation_id[:80]} already exists")
        elif len(self._streams) >= OPERATIONS_MAX:
            self.close(TOO_MANY_OPERATIONS, f"More than {OPERATIONS_MAX} operations")
        else:
            self._streams[operation_id] = None
            frame = partial(_frame, operation_id)
            begun = self._loop.run_in_executor(self._operations.threads, self._operations.begin, payload, frame)
            begun.add_done_callback(partial(self._begin, operation_id))

    def _begin(self, operation_id: str, begun: asyncio.Future[LoopStream | bytes]) -> None:
        if begun.cancelled():
            return
        error = begun.exception()
        is_wanted = operation_id in self._streams and self._protocol.state is State.OPEN
        if error is not None:
            if not isinstance(error, OperationRefused):
                logger.error("an operation failed", exc_info=error)
            errors = error.errors if isinstance(error, OperationRefused) else b'[{"message":"Internal server error"}]'
            if is_wanted:
                del self._streams[operation_id]
                self.send(_with_id("error", operation_id, errors))
            return
        result = begun.result()
        if isinstance(result, bytes):
            if is_wanted:
                del self._streams[operation_id]
                self.send(_with_id("next", operation_id, result))
                self.send(_with_id("complete", operation_id))
        elif is_wanted:
            self._streams[operation_id] = result
            result.carry(_Carrier(self, operation_id))
        else:
            result.close()

    def forget(self, operation_id: str) -> None:
        """Forget a stream that has ended."""
        self._streams.pop(operation_id, None)

    async def wait_for_room(self) -> None:
        """Wait until the client has read enough. Raises TimeoutError, after closing, if it does not."""
        if self._room.is_set():
            return
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._room.wait()
        except TimeoutError:
            self.close(TOO_SLOW, "Messages are read too slowly")
            self._abort()
            raise

    def send(self, text: bytes) -> None:
        """Send one message."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(text)
            self._flush()

    def _send(self, message: Mapping[str, Any]) -> None:
        self.send(json.dumps(message, separators=(",", ":")).encode())

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        for data in self._protocol.data_to_send():
            if data:
                transport.write(data)
            else:
                transport.close()

    def _beat(self) -> None:
        """Ping the client; one that said nothing for two beats is gone."""
        if not self._was_heard:
            self._abort()
            return
        self._was_heard = False
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
            self._flush()
        self._beat_timer = self._loop.call_later(PING_SECONDS, self._beat)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _end_streams(self) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            if stream is not None:
                stream.close()


class _Carrier:
    """Sends the messages of one subscription."""

    __slots__ = ("_connection", "_id")

    def __init__(self, connection: Connection, operation_id: str) -> None:
        self._connection, self._id = connection, operation_id

    async def send(self, chunk: bytes) -> None:
        if chunk:
            self._connection.send(chunk)
            await self._connection.wait_for_room()

    def close(self) -> None:
        self._connection.forget(self._id)


def _is_id(message: Mapping[str, Any]) -> bool:
    found = message.get("id")
    return isinstance(found, str) and 0 < len(found) <= 1_000


def _frame(operation_id: str, result: bytes | None) -> bytes:
    """The message for a result of a stream, b"" for its keep-alive, and that of its end for None."""
    if result is None:
        return _with_id("complete", operation_id)
    return _with_id("next", operation_id, result) if result else b""


def _with_id(kind: str, operation_id: str, payload: bytes | None = None) -> bytes:
    head = b'{"id":%s,"type":"%s"' % (json.dumps(operation_id).encode(), kind.encode())
    return head + (b"}" if payload is None else b',"payload":%s}' % payload)
