"""Celery on RabbitMQ: `python -m bench.many.celery_tasks QUEUE WORKERS` runs its worker with a process pool."""

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from celery import Celery  # type: ignore[import-untyped]

from bench.many.counters import counter, wait_at_gate
from bench.noop_workers import nothing

DEFAULT_BROKER = "amqp://guest:guest@127.0.0.1:5672//"
PREFETCHED = 64  # per process, as its documentation advises for many short tasks
_POLL_SECONDS = 0.05


class CeleryBacklog:
    """Celery tasks in a new durable queue."""

    settings: Mapping[str, str] = {}

    def __init__(self, queue: str) -> None:
        self._queue, self._filled = queue, 0
        self._app, self._noop = open_celery(queue)

    def fill(self, count: int) -> None:
        """Publish durable messages over one connection, and wait until all are in the queue."""
        with self._app.producer_pool.acquire(block=True) as producer:
            for _ in range(count):
                self._noop.apply_async(producer=producer)
        self._filled += count
        while self._waiting() < self._filled:
            time.sleep(_POLL_SECONDS)

    def commands(self, workers: int) -> Sequence[Sequence[str]]:
        """One process, which starts its pool."""
        return [[sys.executable, "-m", "bench.many.celery_tasks", self._queue, str(workers)]]

    def recorded(self) -> int:
        """The number of messages that left the queue: Celery does not record completion."""
        return self._filled - self._waiting()

    def delete(self) -> None:
        """Delete the queue with its messages, and its exchange."""
        self._on_channel("queue_delete")
        self._on_channel("exchange_delete")
        self._app.close()

    def _waiting(self) -> int:
        return int(self._on_channel("queue_declare", passive=True).message_count)

    def _on_channel(self, method: str, **options: Any) -> Any:
        with self._app.connection_for_write() as connection:
            return getattr(connection.default_channel, method)(self._queue, **options)


@contextlib.contextmanager
def celery_backlog() -> Iterator[CeleryBacklog]:
    """A Celery backlog, deleted at the end of the block."""
    backlog = CeleryBacklog(f"afterwrite_bench_{secrets.token_hex(6)}")
    try:
        yield backlog
    finally:
        backlog.delete()


def open_celery(queue: str, handler: Callable[[], None] = nothing) -> tuple[Celery, Any]:
    """Return the application for one durable queue, and its task, which calls the handler.

    A message is acknowledged when its task has ended (``acks_late``), so that tasks of a killed worker run again, as in
    the other systems. Without results and events.
    """
    app = Celery("bench", broker=os.environ.get("TEST_AMQP_URL") or DEFAULT_BROKER)
    app.conf.update(
        task_default_queue=queue,
        task_acks_late=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=PREFETCHED,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
    )

    def noop() -> None:
        handler()

    return app, app.task(noop, name="noop")


def main(arguments: Sequence[str]) -> None:
    """Run tasks until SIGTERM, without messages between workers."""
    queue, workers = arguments
    app, _ = open_celery(queue, counter())
    wait_at_gate()
    alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    app.worker_main(["worker", "--pool=prefork", f"--concurrency={workers}", "--loglevel=WARNING", *alone])


if __name__ == "__main__":
    main(sys.argv[1:])
