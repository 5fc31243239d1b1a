"""Everything behind the routes of one process: its data, the queue of writes, the tasks; their start and stop."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

from access.session import EndedSessions
from async_db import QueueLimits, WriteQueue
from background import BackgroundLoop
from database.processes import ProcessAlive
from database.received import ReceivedWebhooks
from database.stores import open_stores
from metrics import Metrics
from recent import KEPT_SECONDS, Point, RecentFigures, merged
from settings import VERSION, Settings
from stack.chosen import overview_of
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
        self._watching: Future[None] | None = None
        self._started_at_us = 0
        self.background = BackgroundLoop()
        limits = QueueLimits.of(settings)
        self.stores = stores = open_stores(settings, limits.of_store)
        self.sharing, self.products = stores.sharing, stores.products
        self.recent = RecentFigures() if self.sharing is None else RecentFigures(self.sharing.clock.seconds)
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
        self.stack = overview_of(settings, self.background)
        if self.stack is not None:
            self.metrics.watch_more(self.stack)
        self.accepting = False
        self._shared_bucket = 0

    @property
    def runs_tasks(self) -> bool:
        """Whether this process has workers beside its routes."""
        return self.settings.run_workers == "on"

    def share_ended_sessions(self, ended: EndedSessions) -> None:
        """Let a sign-out count in every process on the same database, within a second."""
        if self.sharing is None:
            return
        table = self.sharing.ended_sessions

        async def look() -> None:
            for session_id in await asyncio.to_thread(table.take_new):
                ended.add(session_id)

        ended.tell = lambda session_id: table.add(session_id, ended.seconds)
        self.sharing.bus.look(look)

    def processes(self) -> list[ProcessAlive]:
        """Every process that works on the same data, the oldest first. Raises StoreError."""
        if self.sharing is not None:
            return self.sharing.live()
        now = time.time_ns() // 1000
        name, here = self.tasks.status().name, socket.gethostname()
        own = ProcessAlive(
            name, "server", here, os.getpid(), VERSION, self._started_at_us, now, 0, self._doing()
        )
        return [own]

    def points(self) -> list[Point]:
        """The figures of the last minutes, of every process together. Raises StoreError."""
        if self.sharing is None:
            return self.recent.points()
        oldest = int(self.sharing.clock.now_us() // 1_000_000) - KEPT_SECONDS
        return merged(self.recent.points(), self.sharing.figures.load(oldest))

    def start(self) -> None:
        """Start the background loop, the drain and the workers; requests may come when this returns."""
        self.background.start()
        if self.stack is not None:
            self.stack.start()
        self.queue.start()
        if self.runs_tasks:
            self._tasks.start(alone=self.sharing is None)
        if self.sharing is not None:
            self._share()
        sampling = self.recent.watch(lambda: self.queue.depth)
        self._watching = self.background.keep("Sampling figures for charts", sampling)
        self._started_at_us = time.time_ns() // 1000
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
        self.background.announce_stop()
        started = time.monotonic()
        self.announce_stop()
        self._tasks.stop()
        self.queue.stop()
        if self._watching is not None:
            self._watching.cancel()
        if self.stack is not None:
            self.stack.stop()
        if self.sharing is not None:
            self.background.finish(self.sharing.stop())
        self.background.stop()  # waits for it
        self.stores.close()
        _log.info("stopped after %.1f s", time.monotonic() - started)

    def _share(self) -> None:
        """Let this process and the others on its database hear of each other."""
        assert self.sharing is not None
        self.sharing.doing = self._doing
        self.queue.share(self.sharing.bus)
        self.sharing.bus.look(self._share_figures)
        self.sharing.bus.look(lambda: asyncio.to_thread(self.receiver.look))
        TaskFeed(self.sharing.bus, self._tasks, self.background).start()
        self.background.submit(self.sharing.start()).result()
        self.background.watch(self.sharing.jobs)

    async def _share_figures(self) -> None:
        """Keep what this process settled in the last bucket that is over, for the charts of all."""
        points = [point for point in self.recent.points()[-3:] if point.settled_per_second]
        for point in points:
            if self.sharing is not None and point.time > self._shared_bucket:
                await asyncio.to_thread(
                    self.sharing.figures.save, point.time, asdict(point), point.time - KEPT_SECONDS
                )
                self._shared_bucket = point.time

    def _doing(self) -> Mapping[str, Any]:
        doing: dict[str, Any] = {"drains": self.stores.writes.drains}
        if self.runs_tasks:
            doing["tasks"] = dict(self.tasks.status().running)
        return doing

    def _count_settled(self, writes: Sequence[Write]) -> None:
        self.metrics.count_settled(writes)
        self.recent.count_settled(writes)
