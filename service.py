"""Everything behind the routes of one process: its data, the queue of writes, the tasks; their start and stop."""

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from async_db import QueueLimits, WriteQueue
from background import BackgroundLoop
from database.received import ReceivedWebhooks
from database.stores import open_stores
from metrics import Metrics
from recent import RecentFigures
from settings import Settings
from tasks.feed import TaskFeed
from tasks.runtime import RuntimeLimits, TaskRuntime
from tasks.workers import build_workers
from webhooks.receiver import Receiver
from webhooks.secret import webhook_secret
from writes import Write

_log = logging.getLogger("afterwrite.app")


class Service:
    """Everything behind the routes: opened by the constructor, running between ``start`` and ``stop``."""

    def __init__(self, settings: Settings) -> None:
        """Open what the data is kept in, and what works on it.

        Raises StoreError or SettingsError with one line that says what to do.
        """
        self.settings = settings
        self.recent = RecentFigures()
        self._watching: Future[None] | None = None
        self.background = BackgroundLoop()
        limits = QueueLimits.of(settings)
        self.stores = stores = open_stores(settings, limits.of_store)
        self.sharing, self.products = stores.sharing, stores.products
        self.metrics = Metrics("" if stores.sharing is None else stores.sharing.name)
        self.queue = WriteQueue(stores.writes, self.background, limits, self._count_settled)
        secret = webhook_secret(settings, stores.secret)
        self._tasks = TaskRuntime(
            stores.tasks,
            build_workers(settings, secret),
            self.background,
            RuntimeLimits.of(settings),
            self.metrics.count_tasks,
            name="" if stores.sharing is None else stores.sharing.name,
        )
        self.tasks = self._tasks.queue
        self.receiver = Receiver(secret, ReceivedWebhooks(stores.tasks.commits, stores.tasks.reader))
        self.metrics.watch(self.queue.status, self.tasks.status, stores.conflicts)
        self.accepting = False

    @property
    def runs_tasks(self) -> bool:
        """Whether this process has workers beside its routes."""
        return self.settings.run_workers == "on"

    def start(self) -> None:
        """Start the background loop, the drain and the workers; requests may come when this returns."""
        self.background.start()
        self.queue.start()
        if self.runs_tasks:
            self._tasks.start(alone=self.sharing is None)
        if self.sharing is not None:
            self._share()
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
        if self.sharing is not None:
            self.background.submit(self.sharing.stop()).result()
        self.background.stop()  # waits for it
        self.stores.close()
        _log.info("stopped after %.1f s", time.monotonic() - started)

    def _share(self) -> None:
        """Let this process and the others on its database hear of each other."""
        assert self.sharing is not None
        self.sharing.doing = self._doing
        self.queue.share(self.sharing.bus)
        TaskFeed(self.sharing.bus, self._tasks, self.background).start()
        self.background.submit(self.sharing.start()).result()

    def _doing(self) -> Mapping[str, Any]:
        doing: dict[str, Any] = {"drains": self.stores.writes.drains}
        if self.runs_tasks:
            doing["tasks"] = dict(self.tasks.status().running)
        return doing

    def _count_settled(self, writes: Sequence[Write]) -> None:
        self.metrics.count_settled(writes)
        self.recent.count_settled(writes)
