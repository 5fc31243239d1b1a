"""The server process: applies writes, runs tasks, receives webhooks and records charts."""

import asyncio
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from afterwrite.access.session import EndedSessions
from afterwrite.base.settings import VERSION, Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.write import Write
from afterwrite.service.process import OwnWorker, Process
from afterwrite.service.recent import KEPT_SECONDS, Point, RecentFigures, merged
from afterwrite.storage.processes import ProcessAlive
from afterwrite.storage.received import ReceivedWebhooks
from afterwrite.webhooks.receiver import Receiver


class Service(Process):
    """The server process: opened by the constructor, running between ``start`` and ``stop``."""

    def __init__(
        self, settings: Settings, resources: Mapping[str, CompiledResource], workers: Sequence[OwnWorker] = ()
    ) -> None:
        """Open the stores and all parts; ``workers`` are those of the application.

        Raises StoreError or SettingsError, with one line that says what to do.
        """
        runs_tasks = settings.run_workers == "on"
        super().__init__(settings, resources, "server", drains=True, runs_tasks=runs_tasks, workers=workers)
        self._started_at_us = 0
        self.recent = RecentFigures() if self.sharing is None else RecentFigures(self.sharing.clock.seconds)
        self.receiver = Receiver(self.secret, ReceivedWebhooks(self.stores.tasks.commits, self.stores.tasks.reader))
        self.metrics.watch(self.queue.status, self.tasks.status, self.stores.conflicts)
        self.accepting = False
        self._shared_bucket = 0

    def share_ended_sessions(self, ended: EndedSessions) -> None:
        """Share sign-outs with every process on the same database, within a second."""
        if self.sharing is None:
            return
        table = self.sharing.ended_sessions

        async def poll() -> None:
            for session_id in await asyncio.to_thread(table.take_new):
                ended.add(session_id)

        ended.notify = lambda session_id: table.add(session_id, ended.seconds)
        self.sharing.bus.on_poll(poll)

    def processes(self) -> list[ProcessAlive]:
        """The processes on the same data, oldest first; empty while the database is unavailable."""
        if self.sharing is not None:
            try:
                return self.sharing.live()
            except StoreError:  # the status of the database reports it
                return []
        now = time.time_ns() // 1000
        name, here = self.tasks.status().name, socket.gethostname()
        return [ProcessAlive(name, "server", here, os.getpid(), VERSION, self._started_at_us, now, 0, self._doing())]

    def points(self) -> list[Point]:
        """The chart points of the last minutes, merged over all processes. Raises StoreError."""
        if self.sharing is None:
            return self.recent.points()
        oldest = int(self.sharing.clock.now_us() // 1_000_000) - KEPT_SECONDS
        return merged(self.recent.points(), self.sharing.figures.load(oldest))

    def start(self) -> None:
        """Start the background loop, the drain and the workers; requests may arrive when this returns."""
        super().start()
        sampling = self.recent.watch(lambda: self.queue.depth)
        self._kept.append(self.background.keep("Sampling figures for charts", sampling))
        self._started_at_us = time.time_ns() // 1000
        self.accepting = True

    def stop(self) -> None:
        """Let running tasks finish, drain, then close everything; may be called twice."""
        self.accepting = False
        super().stop()

    def _share(self) -> None:
        assert self.sharing is not None
        self.sharing.bus.on_poll(self._share_figures)
        self.sharing.bus.on_poll(lambda: asyncio.to_thread(self.receiver.poll))
        super()._share()

    async def _share_figures(self) -> None:
        """Publish this process's last completed bucket for the charts of all processes."""
        points = [point for point in self.recent.points()[-3:] if point.settled_per_second]
        for point in points:
            if self.sharing is not None and point.time > self._shared_bucket:
                await asyncio.to_thread(self.sharing.figures.save, point.time, asdict(point), point.time - KEPT_SECONDS)
                self._shared_bucket = point.time

    def _doing(self) -> Mapping[str, Any]:
        doing: dict[str, Any] = {"drains": self.stores.writes.drains}
        if self.runs_tasks:
            doing["tasks"] = dict(self.tasks.status().running)
        return doing

    def _count_settled(self, writes: Sequence[Write]) -> None:
        super()._count_settled(writes)
        self.recent.count_settled(writes)
