"""An operating-system process of Afterwrite: its stores, queue, tasks and background loop."""

import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.limits import TaskLimits, WriteLimits
from afterwrite.base.settings import Settings
from afterwrite.jobs.chosen import overview_of
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.write import Write
from afterwrite.service import current
from afterwrite.service.context import Context
from afterwrite.service.metrics import Metrics
from afterwrite.service.outbox import OutboxRelay
from afterwrite.storage.stores import open_stores
from afterwrite.tasks.feed import TaskFeed
from afterwrite.tasks.runtime import TaskRuntime
from afterwrite.tasks.workers import OwnWorker as OwnWorker  # part of the signatures here
from afterwrite.tasks.workers import build_workers
from afterwrite.webhooks.secret import webhook_secret
from afterwrite.writes.queue import WriteQueue

_log = logging.getLogger("afterwrite.app")


def session_secret(keep: Callable[[str, str], str]) -> str:
    """The secret that signs session cookies, as ``keep(name, new)`` stores it: a new one, or the one stored before.

    Raises StoreError.
    """
    return keep("session-secret", secrets.token_hex(32))


class Process:
    """The parts common to every process: opened by the constructor, running between ``start`` and ``stop``.

    A process accepts writes and tasks, and exchanges notifications with the others on its database. It applies writes
    if ``drains``, and runs tasks if ``runs_tasks``.
    """

    def __init__(
        self,
        settings: Settings,
        resources: Mapping[str, CompiledResource] | None,
        role: str,
        *,
        drains: bool = False,
        runs_tasks: bool = False,
        workers: Sequence[OwnWorker] = (),
        types: Collection[str] | None = None,
        concurrency: int | None = None,
        stack_parts: Collection[str] | None = None,
    ) -> None:
        """``resources`` are those of the application, None if the process reads and applies none.

        ``role`` is the purpose of the process in the list of processes.

        ``workers`` are those of the application, ``types`` the task types to run (None: all), ``concurrency`` is the
        limit per type (None: the worker's own), ``stack_parts`` are the services besides the database that the process
        uses (None: all if Airflow runs jobs).
        Raises StoreError or SettingsError, with one line that says what to do.
        """
        self.settings, self.drains, self.runs_tasks = settings, drains, runs_tasks
        self.background = BackgroundLoop()
        limits = WriteLimits.of(settings)
        self.resources = resources or {}
        self.stores = stores = open_stores(settings, limits, resources, role)
        self.sharing, self.records = stores.sharing, stores.records
        name = "" if stores.sharing is None else stores.sharing.name
        self.metrics = Metrics(name)
        self.queue = WriteQueue(stores.writes, self.background, limits, self._count_settled)
        self.secret = webhook_secret(settings, stores.secret)
        self._runtime = TaskRuntime(
            stores.tasks,
            build_workers(settings, self.secret, workers),
            self.background,
            TaskLimits.of(settings),
            self.metrics.count_tasks,
            name=name,
            types=types,
            concurrency=concurrency,
        )
        self.tasks = self._runtime.queue
        if any(resource.operations for resource in self.resources.values()):
            self._runtime.registry.load()  # the background loop checks the tasks that operations make
        self._outbox = OutboxRelay(stores.writes, self._runtime, alone=self.sharing is None)
        self.queue.on_settling = self._outbox.note_settled
        self.stack = overview_of(settings, self.background, stack_parts)
        if self.stack is not None:
            self.metrics.watch_more(self.stack)
        self.on_stop: list[Callable[[], None]] = []
        """Called when the process begins to stop, more than once."""
        self._kept: list[Future[None]] = []
        self._runs = False

    def context(
        self,
        by: str | None = None,
        base_url: Callable[[], str] = lambda: "",
        permit: Callable[[str], None] = lambda _field: None,
    ) -> Context:
        """The context of a new request of the caller ``by``."""
        wait_until = time.monotonic() + self.settings.wait_seconds
        return Context(self.records, self.queue, self.tasks, wait_until, base_url, by, permit)

    def start(self) -> None:
        """Start the process; return when it runs."""
        self.background.start()
        if self.stack is not None:
            self.stack.start()
        if self.drains:
            self._kept.append(self.background.keep("The relay of the outbox", self._outbox.run()))
            self.queue.start()
        if self.runs_tasks:
            self._runtime.start(alone=self.sharing is None)
        if self.sharing is not None:
            self._share()
        self._runs = True
        current.add(self)

    def announce_stop(self) -> None:
        """End event streams and start no more tasks."""
        self.queue.announce_stop()
        self.tasks.announce_stop()
        for call in self.on_stop:
            call()

    def stop(self) -> None:
        """Let running tasks finish, drain, then close everything; may be called twice."""
        if not self._runs:
            return
        self._runs = False
        current.remove(self)
        self.background.announce_stop()
        started = time.monotonic()
        self.announce_stop()
        self._runtime.stop()
        self.queue.stop()
        for kept in self._kept:
            kept.cancel()
        if self.stack is not None:
            self.stack.stop()
        if self.sharing is not None:
            self.background.finish(self.sharing.stop())
        self.background.stop()  # waits for its coroutines
        self.stores.close()
        _log.info("stopped after %.1f s", time.monotonic() - started)

    def _share(self) -> None:
        """Exchange notifications with the other processes on the database."""
        assert self.sharing is not None
        self.sharing.doing = self._doing
        self.queue.share(self.sharing.bus)
        TaskFeed(self.sharing.bus, self._runtime, self.background, hears_changes=self.drains).start()
        self.background.submit(self.sharing.start()).result()
        self.background.watch(self.sharing.jobs)

    def _doing(self) -> Mapping[str, Any]:
        return {}

    def _count_settled(self, writes: Sequence[Write]) -> None:
        self.metrics.count_settled(writes)
