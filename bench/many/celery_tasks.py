"""Celery on RabbitMQ; `python -m bench.many.celery_tasks QUEUE WORKERS` is its worker, with a pool of processes."""

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
PREFETCHED = 64  # for each process: what its documentation advises for many short tasks
_LOOK_SECONDS = 0.05


class CeleryBacklog:
    """Tasks of Celery in a durable queue of its own."""

    settings: Mapping[str, str] = {}

    def __init__(self, queue: str) -> None:
        self._queue, self._filled = queue, 0
        self._app, self._noop = open_celery(queue)

    def fill(self, count: int) -> None:
        """Publish durable messages over one connection, and wait until all of them are in the queue."""
        with self._app.producer_pool.acquire(block=True) as producer:
            for _ in range(count):
                self._noop.apply_async(producer=producer)
        self._filled += count
        while self._waiting() < self._filled:
            time.sleep(_LOOK_SECONDS)

    def commands(self, workers: int) -> Sequence[Sequence[str]]:
        """One process, which makes the processes of its pool."""
        return [[sys.executable, "-m", "bench.many.celery_tasks", self._queue, str(workers)]]

    def recorded(self) -> int:
        """Celery keeps no record of an end: how many messages do not wait in the queue any more."""
        return self._filled - self._waiting()

    def delete(self) -> None:
        """Delete the queue with all that is in it, and its exchange."""
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
    """Tasks of Celery in a new queue, which is deleted at the end."""
    backlog = CeleryBacklog(f"afterwrite_bench_{secrets.token_hex(6)}")
    try:
        yield backlog
    finally:
        backlog.delete()


def open_celery(queue: str, handler: Callable[[], None] = nothing) -> tuple[Celery, Any]:
    """Return the application for one durable queue, and its task, which calls the handler.

    A message is acknowledged when its task has ended (``acks_late``), so that what runs when a worker is killed runs
    again, as with the others. There are no results and no events.
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
    """Run tasks until SIGTERM, without what its worker tells other workers."""
    queue, workers = arguments
    app, _ = open_celery(queue, counter())
    wait_at_gate()
    alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    app.worker_main(["worker", "--pool=prefork", f"--concurrency={workers}", "--loglevel=WARNING", *alone])


if __name__ == "__main__":
    main(sys.argv[1:])
