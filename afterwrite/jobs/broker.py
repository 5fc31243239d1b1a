"""A RabbitMQ client with publisher confirms, manual acknowledgement and dead letters: no message is lost."""

import asyncio
import contextlib
import logging
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, AMQPError, ChannelNotFoundEntity, DeliveryError, PublishError
from yarl import URL

from afterwrite.base.settings import Settings, SettingsError
from afterwrite.jobs.broker_words import words_of
from afterwrite.jobs.errors import QueueFull, ServiceAway
from afterwrite.jobs.messages import CONTENT_TYPE

_log = logging.getLogger("afterwrite.stack")

REQUESTS, RESULTS, DEAD_LETTERS = "airflow.requests", "airflow.results", "airflow.dead-letters"
REASON, FROM_QUEUE, DIED_AT = "x-afterwrite-reason", "x-afterwrite-queue", "x-afterwrite-died-at"
RABBITMQ = "rabbitmq"

_NO_QUEUE = "airflow.none"

_TIMEOUT_SECONDS = 10.0
_CHECK_SECONDS = 2.0
_HEARTBEAT_SECONDS = 15
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
# A message delivered so often without an acknowledgement presumably crashes its consumers.
_DELIVERY_LIMIT = 100
_FOREVER = 1_000_000_000
_AWAY = (*CONNECTION_EXCEPTIONS, AMQPError, OSError, TimeoutError, RuntimeError)


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """A message received from a queue; without an acknowledgement it is delivered again."""

    broker: "Broker"
    queue: str
    message: AbstractIncomingMessage
    channel: AbstractChannel

    @property
    def body(self) -> bytes:
        return self.message.body

    @property
    def headers(self) -> Mapping[str, Any]:
        return self.message.headers

    @property
    def is_gone(self) -> bool:
        """Whether its connection is lost: the message was or will be delivered again."""
        return self.channel.is_closed

    async def ack(self) -> None:
        """Acknowledge the message; without effect if it ``is_gone``."""
        with contextlib.suppress(*_AWAY):  # it is delivered again, and every consumer is idempotent
            await self.message.ack()

    async def dead_letter(self, reason: str) -> None:
        """Move the message to the dead-letter queue; retries until it is there or the message ``is_gone``."""
        _log.error("moving a message from %s to %s: %s", self.queue, DEAD_LETTERS, reason)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        headers = {**self.headers, REASON: reason[:1_000], FROM_QUEUE: self.queue, DIED_AT: now}
        if await self.publish(DEAD_LETTERS, self.body, headers):
            await self.ack()

    async def publish(self, queue: str, body: bytes, headers: Mapping[str, Any]) -> bool:
        """Publish a follow-up message; retries until it is published, or (False) this message ``is_gone``."""
        for pause in pauses():
            try:
                await self.broker.publish(queue, body, headers)
            except (ServiceAway, QueueFull) as error:
                _log.warning("%s", error)
            else:
                return True
            if self.is_gone:
                break
            await asyncio.sleep(pause)
        return False


class Broker:
    """RabbitMQ for one process: a connection to publish, and another one for each consumed queue.

    Connections open on demand and reconnect. Call every method on one loop. ``trouble`` says why RabbitMQ is
    unavailable; None means no known problem.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError for an invalid AMQP_URL."""
        self._url = _address(settings.amqp_url)
        self._prefix, self._max_messages = settings.queue_prefix, settings.queue_max_messages
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self.trouble: str | None = None

    async def publish(self, queue: str, body: bytes, headers: Mapping[str, Any]) -> None:
        """Publish a message; it is on the broker's disks when this returns. Raises ServiceAway or QueueFull.

        After ServiceAway, the message may have been published all the same.
        """
        message = aio_pika.Message(
            body,
            headers=dict(headers),
            content_type=CONTENT_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=str(uuid.uuid4()),
            app_id="afterwrite",
        )
        async with self._guarded("published to"):
            channel = await self._open()
            try:
                await channel.default_exchange.publish(
                    message, self.name_of(queue), mandatory=True, timeout=_TIMEOUT_SECONDS
                )
            except PublishError as error:  # the queue was deleted; reconnecting declares it again
                await self.close()
                raise ServiceAway(RABBITMQ, f"The queue {self.name_of(queue)} is missing") from error
            except DeliveryError as error:
                raise QueueFull(
                    f"The queue {self.name_of(queue)} takes no more messages: it is full (QUEUE_MAX_MESSAGES)"
                ) from error

    async def consume(self, queue: str, prefetch: int, take: Callable[[Delivery], Awaitable[None]]) -> None:
        """Pass every message of a queue to ``take``, up to ``prefetch`` concurrently, until cancelled.

        Reconnects with exponential backoff and declares a deleted queue again. If ``take`` raises, the message is
        dead-lettered.
        """
        while True:
            for pause in pauses():
                try:
                    lost = await self._consume_once(queue, prefetch, take)
                    break
                except Exception as error:  # noqa: BLE001 - the loop's single error handler
                    expected = isinstance(error, _AWAY)
                    self._note(f"RabbitMQ at {self} is unavailable: {words_of(error)}", None if expected else error)
                await asyncio.sleep(pause)
            self._note(f"RabbitMQ at {self} stopped delivering from {self.name_of(queue)}: {lost}")

    async def check(self) -> None:
        """Check that messages can be published now. Raises ServiceAway."""
        async with self._guarded("reached at"):
            channel = await self._open()
            # Unroutable, so it is dropped once confirmed; during a memory or disk alarm nothing is confirmed.
            nothing = aio_pika.Message(b"")
            try:
                async with asyncio.timeout(_CHECK_SECONDS):
                    await channel.default_exchange.publish(nothing, self.name_of(_NO_QUEUE), mandatory=False)
            except TimeoutError as error:
                message = f"RabbitMQ at {self} takes no messages: see its log for a memory or disk alarm"
                self._note(message)
                raise ServiceAway(RABBITMQ, message) from error

    async def browse(self, queue: str, take: Callable[[Delivery], Awaitable[bool]], most: int) -> int:
        """Pass up to ``most`` messages to ``take`` until it returns False; return how many.

        Stops after the number of messages present at the start, because ``take`` may requeue some. Messages that
        ``take`` does not acknowledge go back into the queue. Raises ServiceAway.
        """
        count = 0
        async with self._guarded("read at"), self._connected() as connection:
            await self._ensure_queues(connection)
            channel = await connection.channel()
            found = await channel.declare_queue(self.name_of(queue), passive=True, timeout=_TIMEOUT_SECONDS)
            most = min(most, found.declaration_result.message_count or 0)
            while count < most and (message := await found.get(no_ack=False, fail=False)) is not None:
                count += 1
                if not await take(Delivery(self, queue, message, channel)):
                    break
        return count

    async def close(self) -> None:
        """Close the publishing connection; the next message reopens it."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await _closed(connection)

    def name_of(self, queue: str) -> str:
        """The name of a queue in RabbitMQ, with the prefix."""
        return self._prefix + queue

    def __str__(self) -> str:
        return str(self._url.with_user(None).with_query(None))

    async def _consume_once(self, queue: str, prefetch: int, take: Callable[[Delivery], Awaitable[None]]) -> str:
        """Consume until the connection or the queue is lost; return the reason. Raises if it cannot start."""
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def lose(reason: str) -> None:
            if not lost.done():
                lost.set_result(reason)

        async with self._connected() as connection:
            await self._ensure_queues(connection)
            channel = await connection.channel()
            channel.close_callbacks.add(lambda _, error: lose(words_of(error)))
            # After the queue is deleted, the channel stays open but delivers nothing.
            (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(
                lambda _: lose("the queue was deleted")
            )
            await channel.set_qos(prefetch_count=prefetch)
            found = await channel.get_queue(self.name_of(queue), ensure=False)

            async def give(message: AbstractIncomingMessage) -> None:
                delivery = Delivery(self, queue, message, channel)
                try:
                    await take(delivery)
                except Exception as error:  # noqa: BLE001 - a failure dead-letters the message
                    _log.exception("cannot handle a message from %s", queue)
                    await delivery.dead_letter(f"Handling it failed: {type(error).__name__}: {error}")

            await found.consume(give)
            if self.trouble is not None:
                _log.info("RabbitMQ at %s is available again", self)
            self.trouble = None
            return await lost

    async def _open(self) -> AbstractChannel:
        """The publishing channel, with every queue declared."""
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                await self.close()
                self._connection = await self._connect()
                try:
                    await self._ensure_queues(self._connection)
                    self._channel = await self._connection.channel(on_return_raises=True)
                except BaseException:
                    await self.close()
                    raise
            return self._channel

    async def _ensure_queues(self, connection: AbstractConnection) -> None:
        """Declare missing queues; existing ones keep their limits."""
        for queue in (DEAD_LETTERS, REQUESTS, RESULTS):
            try:
                async with await connection.channel() as channel:
                    await channel.declare_queue(self.name_of(queue), passive=True, timeout=_TIMEOUT_SECONDS)
            except ChannelNotFoundEntity:
                async with await connection.channel() as channel:
                    await channel.declare_queue(
                        self.name_of(queue), durable=True, arguments=self._arguments(queue), timeout=_TIMEOUT_SECONDS
                    )

    def _arguments(self, queue: str) -> dict[str, Any]:
        limits: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-max-length": self._max_messages,
            "x-overflow": "reject-publish",
        }
        if queue == DEAD_LETTERS:
            return limits | {"x-delivery-limit": _FOREVER}  # reading a dead letter must never drop it
        return limits | {
            "x-delivery-limit": _DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": self.name_of(DEAD_LETTERS),
            "x-dead-letter-strategy": "at-least-once",
        }

    async def _connect(self) -> AbstractConnection:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            return await aio_pika.connect(self._url, timeout=_TIMEOUT_SECONDS)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[AbstractConnection]:
        connection = await self._connect()
        try:
            yield connection
        finally:
            await _closed(connection)

    @contextlib.asynccontextmanager
    async def _guarded(self, what: str) -> AsyncIterator[None]:
        """Turn connection errors into ServiceAway and drop the connection."""
        try:
            yield
        except _AWAY as error:
            await self.close()
            message = f"RabbitMQ cannot be {what} {self}: {words_of(error)}"
            self._note(message)
            raise ServiceAway(RABBITMQ, message) from error
        self.trouble = None

    def _note(self, trouble: str, error: Exception | None = None) -> None:
        if trouble != self.trouble:  # log each problem once, not every try
            _log.warning("%s", trouble, exc_info=error)
        self.trouble = trouble


def pauses() -> Iterator[float]:
    """Endless exponential backoff with jitter, in seconds."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        yield pause * random.uniform(0.75, 1)  # noqa: S311 - jitter
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


async def _closed(connection: AbstractConnection) -> None:
    with contextlib.suppress(*_AWAY):
        await asyncio.wait_for(connection.close(), _TIMEOUT_SECONDS)


def _address(text: str) -> URL:
    try:
        url = URL(text)
        if url.scheme not in ("amqp", "amqps") or not url.host:
            raise ValueError(text)
    except ValueError as error:  # the text may contain a password, so it is not quoted
        raise SettingsError("AMQP_URL is not a valid address: give amqp://USER:PASSWORD@HOST:5672/VHOST") from error
    return url if "heartbeat" in url.query else url.update_query(heartbeat=_HEARTBEAT_SECONDS)
