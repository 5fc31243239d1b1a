"""Puts the parts of the tasks together over one database: store, listing, workers, queue."""

from collections.abc import Callable, Collection, Sequence

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.limits import TaskLimits
from afterwrite.storage.task_database import TaskDatabase
from afterwrite.tasks.listing import TaskListing
from afterwrite.tasks.manager import WorkerManager
from afterwrite.tasks.queue import TaskQueue
from afterwrite.tasks.registry import Registry
from afterwrite.tasks.rows import Prepared
from afterwrite.tasks.store import TaskStore
from afterwrite.tasks.task import Task
from afterwrite.tasks.worker import BaseWorker
from afterwrite.tasks.workers.webhook_delivery import delivery_of


class TaskRuntime:
    """The tasks of one database and the workers that run them; opened by the constructor."""

    def __init__(
        self,
        database: TaskDatabase,
        workers: Sequence[BaseWorker],
        background: BackgroundLoop,
        limits: TaskLimits,
        on_recorded: Callable[[Sequence[Task]], None] = lambda _: None,
        *,
        name: str = "",
        types: Collection[str] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Takes ``database`` over. ``name`` is the process's own, if it has one.

        ``types`` are those whose tasks are run here (None: all), ``concurrency`` is how many of each side by side
        (None: as its worker says). Raises StoreError, and ValueError for wrong workers.
        """
        self.registry = Registry(
            workers, limits.payload_max_bytes, private_callbacks=limits.private_callbacks
        )
        self.database = database
        try:
            self.store = store = TaskStore(database.commits, self._delivery)
        except BaseException:
            self.close()
            raise
        self.manager = WorkerManager(
            store,
            self.registry,
            background,
            limits,
            on_recorded,
            name=name,
            types=types,
            concurrency=concurrency,
        )
        self.queue = TaskQueue(store, TaskListing(database.reader), self.registry, self.manager, limits)

    def start(self, *, alone: bool) -> None:
        """Let the workers begin; ``alone`` says that no other process has this database."""
        self.manager.start(alone=alone)

    def stop(self) -> None:
        """Let running tasks finish for ``stop_seconds``, release the others; may be called twice."""
        self.queue.announce_stop()
        self.manager.stop()

    def close(self) -> None:
        """Close the database, after ``stop``."""
        self.database.close()

    def _delivery(self, task: Task) -> Prepared | None:
        """The delivery of an ended task's outcome to its callback URL, if it has one."""
        new = delivery_of(task)
        return None if new is None else self.registry.prepare_own(new)
