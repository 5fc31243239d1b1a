"""GraphQL subscriptions as server-sent events, in graphql-sse's distinct connections mode.

The protocol: https://github.com/graphql/graphql-sse/blob/main/PROTOCOL.md
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future
from threading import Lock
from typing import Any, Final, NamedTuple, Protocol

from graphql import ExecutionContext, FieldNode, GraphQLError, located_error
from graphql.execution.collect_fields import collect_fields
from graphql.execution.execute import get_field_def
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path

from afterwrite.graphql_http.compiled.site import never_awaitable
from afterwrite.graphql_http.documents import Operation
from afterwrite.graphql_http.errors import TOO_MANY_STREAMS, HttpRefusal

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
COMPLETE = b"event: complete\ndata:\n\n"
COMMENT = b":\n\n"
CARRIER = "graphql_http.carrier"
"""The environ key of a function that takes a LoopStream: the server sends its chunks instead of a response's body."""
SOCKET = "graphql_http.socket"
"""The environ key of a WebSocket's handshake, put there by the server in place of ``HTTP_UPGRADE``.

Its value is a function that returns the socket of the request, which the server gives up after the answer 101.
"""


class _KeepAlive:
    def __repr__(self) -> str:
        return "KEEP_ALIVE"


KEEP_ALIVE: Final = _KeepAlive()
"""Yielded by the iterator of a subscription that has waited a while without an event."""


def next_event(body: bytes) -> bytes:
    """Returns the `next` event for an execution result, given as JSON on one line."""
    return b"event: next\ndata: " + body + b"\n\n"


class StreamSlots:
    """Limits the open streams."""

    def __init__(self, max_streams: int) -> None:
        self._max, self._max_each = max_streams, max(1, max_streams // 2)
        self._open = 0
        self._of_holder: Counter[str] = Counter()
        self._lock = Lock()

    @property
    def open(self) -> int:
        """The number of open streams."""
        return self._open

    def take(self, holder: str | None = None) -> None:
        """Takes a slot; each `take` needs one `give_back`.

        Raises HttpRefusal, 503, if none is free or if `holder` has half of them; None has no such limit.
        """
        with self._lock:
            if self._open >= self._max:
                raise _too_many(f"{self._open} event streams are open, which is the limit", self._max)
            if holder is not None:
                if self._of_holder[holder] >= self._max_each:
                    raise _too_many(
                        f"You have {self._max_each} event streams open, the maximum for one caller", self._max_each
                    )
                self._of_holder[holder] += 1
            self._open += 1

    def give_back(self, holder: str | None = None) -> None:
        with self._lock:
            self._open -= 1
            if holder is not None:
                self._of_holder -= Counter((holder,))  # drops counts of zero


def _too_many(found: str, maximum: int) -> HttpRefusal:
    message = f"{found} (MAX_STREAMS). Close one, or try again in {RETRY_AFTER_SECONDS} s. Other operations work."
    retry = (("Retry-After", str(RETRY_AFTER_SECONDS)),)
    return HttpRefusal(503, message, TOO_MANY_STREAMS, retry, maximum=maximum)


class EventSource(NamedTuple):
    """The events of a subscription, and the field that gets the error if they fail."""

    events: Iterator[Any] | AsyncIterator[Any]
    nodes: list[FieldNode]
    path: list[str | int]


def subscribe(operation: Operation, context: Any, raw_variables: dict[str, Any]) -> EventSource:
    """Calls `subscribe` of the operation's only field and returns its events.

    This is CreateSourceEventStream of the GraphQL specification without asyncio, in the request's thread.

    Raises:
        GraphQLError: the variables or arguments do not fit, or the field's function raised.
    """
    schema, definition = operation.document.schema, operation.definition
    root_type, document = schema.subscription_type, operation.executable.document
    assert root_type is not None
    execution = ExecutionContext.build(schema, document, None, context, raw_variables, is_awaitable=never_awaitable)
    if isinstance(execution, list):
        raise execution[0]
    variables = execution.variable_values
    fields = collect_fields(schema, execution.fragments, variables, root_type, definition.selection_set)
    if not fields:
        raise GraphQLError("This subscription skips its only field (@skip, @include).", definition)
    response_name, nodes = next(iter(fields.items()))
    field = get_field_def(schema, root_type, nodes[0])
    path = Path(None, response_name, root_type.name)
    info = execution.build_resolve_info(field, nodes, root_type, path)
    try:
        if field.subscribe is None:
            raise TypeError(f"Subscription.{info.field_name} has no subscribe function")
        events = field.subscribe(None, info, **get_argument_values(field, nodes[0], variables))
        if not isinstance(events, AsyncIterator):
            events = iter(events)
    except Exception as error:
        raise located_error(error, nodes, path.as_list()) from error
    return EventSource(events, nodes, path.as_list())


class EventStream:
    """The body of an event stream: one chunk per event, and a comment as keep-alive.

    Args:
        source: its events are closed with the stream if they have `close`.
        answer: turns an event into the JSON of its execution result.
        refuse: turns an error that ends the stream early into JSON.
        on_close: called exactly once, after the source is closed: when the stream is exhausted or closed,
            even if it was never iterated over.
        still: called before each chunk of the source; an exception ends the stream, as one of the source does.

    One thread iterates. Any thread may call `close`, more than once; if another thread waits for the next event, that
    thread closes the stream when its wait ends.
    """

    def __init__(
        self,
        source: EventSource,
        answer: Callable[[Any], bytes],
        refuse: Callable[[GraphQLError], bytes],
        on_close: Callable[[], None],
        still: Callable[[], None] | None = None,
    ) -> None:
        assert isinstance(source.events, Iterator)
        self._source, self._events = source, source.events
        self._answer = answer
        self._refuse = refuse
        self._on_close = on_close
        self._still = still or _nothing
        self._is_closing = self._is_closed = False
        self._turn = Lock()
        self._chunks = self._make_chunks()

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> bytes:
        with self._turn:
            chunk = None if self._is_closed else next(self._chunks, None)
        # Checked after the lock is released: a `close` that found the lock taken has set this before.
        if chunk is None or self._is_closing:
            self.close()
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Closes the source, then calls `on_close`."""
        self._is_closing = True
        if not self._turn.acquire(blocking=False):
            return
        try:
            if self._is_closed:
                return
            self._is_closed = True
            try:
                self._chunks.close()
                getattr(self._events, "close", _nothing)()
            finally:
                self._on_close()
        finally:
            self._turn.release()

    def __del__(self) -> None:
        self.close()  # a server or a hook may drop it without closing it

    def _make_chunks(self) -> Generator[bytes]:
        yield COMMENT  # the headers leave with it, before the first event
        try:
            for event in self._events:
                self._still()
                yield COMMENT if event is KEEP_ALIVE else next_event(self._answer(event))
        except Exception as error:  # noqa: BLE001 - `refuse` logs internal errors
            yield next_event(self._refuse(located_error(error, self._source.nodes, self._source.path)))
        yield COMPLETE


class Carrier(Protocol):
    """Sends the chunks of one stream to its client."""

    async def send(self, chunk: bytes) -> None:
        """Returns when there is room for the next chunk. Raises OSError when the client takes no more."""

    def close(self) -> None:
        """Ends the response; called once."""


class LoopStream:
    """The chunks of an event stream whose events come on an asyncio loop: no thread waits for them.

    The arguments are those of EventStream, but `answer` is awaited, and `submit` runs a coroutine on the loop, from any
    thread. `carry` sends the chunks; `close` ends that, from any thread.
    """

    def __init__(
        self,
        source: EventSource,
        answer: Callable[[Any], Awaitable[bytes]],
        refuse: Callable[[GraphQLError], bytes],
        on_close: Callable[[], None],
        still: Callable[[], None],
        submit: Callable[[Coroutine[Any, Any, Any]], Future[Any]],
        frame: Callable[[bytes | None], bytes] | None = None,
    ) -> None:
        """`frame` makes a chunk of a result's JSON, of b"" for a keep-alive and of None at the end; default: events."""
        assert isinstance(source.events, AsyncIterator)
        self._frame = frame or _event
        self._source, self._events = source, source.events
        self._answer, self._refuse, self._still = answer, refuse, still
        self._on_close, self._submit = on_close, submit
        self._run: Future[None] | None = None
        self._is_closed = False
        self._turn = Lock()

    def carry(self, carrier: Carrier) -> None:
        """Sends every chunk with the carrier, from now on, until the end or `close`."""
        self._run = self._submit(self._carry(carrier))
        self._run.add_done_callback(lambda _: self.close())

    def close(self) -> None:
        """Closes the source and calls `on_close`, once."""
        with self._turn:
            if self._is_closed:
                return
            self._is_closed = True
        if self._run is not None:
            self._run.cancel()
        self._on_close()

    async def _carry(self, carrier: Carrier) -> None:
        try:
            async with contextlib.aclosing(self._chunks()) as chunks:
                async for chunk in chunks:
                    await carrier.send(chunk)
        except OSError as error:
            logger.info("an event stream ends: %s", error)
        except Exception:
            logger.exception("an event stream broke off")
        finally:
            carrier.close()

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        yield self._frame(b"")  # the headers leave with it, before the first event
        try:
            async with contextlib.aclosing(self._events) as events:  # type: ignore[type-var]
                async for event in events:
                    self._still()
                    yield self._frame(b"" if event is KEEP_ALIVE else await self._answer(event))
        except Exception as error:  # noqa: BLE001 - `refuse` logs internal errors
            yield self._frame(self._refuse(located_error(error, self._source.nodes, self._source.path)))
        yield self._frame(None)


def _event(result: bytes | None) -> bytes:
    if result is None:
        return COMPLETE
    return next_event(result) if result else COMMENT


def _nothing() -> None:
    """The default for events without `close`, and for a stream without a check."""
