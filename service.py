"""Everything behind the routes of one process: the files, the queue of writes, the tasks; their start and stop."""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future

from async_db import QueueLimits, WriteQueue
from background import BackgroundLoop
from database.engine import open_reader
from database.ledger import Ledger
from database.products import Products
from database.received import ReceivedWebhooks
from database.task_database import open_with_tasks
from database.writer import CatalogueWriter
from metrics import Metrics
from recent import RecentFigures
from settings import Settings
from tasks.runtime import RuntimeLimits, TaskRuntime
from tasks.workers import build_workers
from webhooks.receiver import Receiver
from webhooks.secret_file import secret_of
from writes import Write

_log = logging.getLogger("afterwrite.app")


class Service:
    """Everything behind the routes: opened by the constructor, running between ``start`` and ``stop``."""

    def __init__(self, settings: Settings) -> None:
        """Open the data folder and what works on it.

        Raises StoreError or SettingsError with one line that says what to do.
        """
        self.settings = settings
        self.metrics, self.recent = Metrics(), RecentFigures()
        self._watching: Future[None] | None = None
        self.background = BackgroundLoop()
        self._journal = open_with_tasks(settings)
        self._engine = open_reader(settings.products_path, settings.threads + 2)
        self.products = Products(self._engine)
        self.queue = WriteQueue(
            self._journal,
            Ledger(self._engine),
            CatalogueWriter(settings.products_path),
            self.background,
            _queue_limits(settings),
            self.products.last_id(),
            self._count_settled,
        )
        webhook_secret = settings.webhook_secret or secret_of(settings.data_dir)
        self._tasks = TaskRuntime(
            settings.tasks_path,
            settings.journal_sync,
            settings.threads + 4,
            build_workers(settings, webhook_secret),
            self.background,
            RuntimeLimits.of(settings),
            self.metrics.count_tasks,
        )
        self.tasks = self._tasks.queue
        self.receiver = Receiver(webhook_secret, ReceivedWebhooks(self._tasks.commits, self._tasks.reader))
        self.metrics.watch(self.queue.status, self.tasks.status)
        self.accepting = False

    def start(self) -> None:
        """Start the background loop, the drain and the workers; requests may come when this returns."""
        self.background.start()
        self.queue.start()
        self._tasks.start(alone=True)  # the journal has one owner, and the task database is beside it
        self._watching = self.background.submit(self.recent.watch(lambda: self.queue.depth))
        self.accepting = True

    def announce_stop(self) -> None:
        """Let event streams end, and start no more tasks."""
        self.queue.announce_stop()
        self.tasks.announce_stop()

    def stop(self) -> None:
        """Let running tasks end, drain, then let go of everything; may be called twice."""
        if not self.accepting:
            return
        self.accepting = False
        started = time.monotonic()
        self.announce_stop()
        self._tasks.stop()
        self.queue.stop()
        if self._watching is not None:
            self._watching.cancel()
        self.background.stop()  # waits for it
        self._tasks.close()
        self._journal.close()
        self._engine.dispose()
        _log.info("stopped after %.1f s", time.monotonic() - started)

    def _count_settled(self, writes: Sequence[Write]) -> None:
        self.metrics.count_settled(writes)
        self.recent.count_settled(writes)


def _queue_limits(settings: Settings) -> QueueLimits:
    return QueueLimits(
        max_writes=settings.queue_max_writes,
        max_bytes=settings.queue_max_bytes,
        batch_size=settings.batch_size,
        max_waiters=settings.max_waiters,
        stop_seconds=settings.stop_seconds,
        idempotency_seconds=settings.idempotency_hours * 3600,
    )
