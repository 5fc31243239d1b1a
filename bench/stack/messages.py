"""Publishes requests and results to the queues, as the workers and the DAG do."""

import asyncio
from collections.abc import Sequence

from afterwrite.base.tracing import new_trace
from afterwrite.jobs.broker import REQUESTS, RESULTS, Broker
from afterwrite.jobs.messages import Request, Result, headers_of
from bench.stack.places import Place

PUBLISHED_AT_ONCE = 100


def fill_requests(place: Place, count: int) -> None:
    """Publish ``count`` requests, each for a new run; they are on disk when this returns."""
    _fill(place, REQUESTS, [Request(f"job-{number}", number, f"job-{number}") for number in range(1, count + 1)])


def fill_results(place: Place, results: Sequence[Result]) -> None:
    """Publish results; they are on disk when this returns."""
    _fill(place, RESULTS, results)


async def publish(broker: Broker, queue: str, message: Request | Result) -> None:
    """Publish one message; return when RabbitMQ has confirmed it."""
    await broker.publish(queue, message.encode(), headers_of(message.correlation_id, new_trace()))


def _fill(place: Place, queue: str, messages: Sequence[Request | Result]) -> None:
    asyncio.run(_publish_all(place, queue, messages))


async def _publish_all(place: Place, queue: str, messages: Sequence[Request | Result]) -> None:
    broker = Broker(place.settings)
    for start in range(0, len(messages), PUBLISHED_AT_ONCE):
        some = messages[start : start + PUBLISHED_AT_ONCE]
        await asyncio.gather(*(publish(broker, queue, message) for message in some))
    await broker.close()
