"""Wires the task store, listing, workers and queue over one database."""

from collections.abc import Callable, Collection, Sequence

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.limits import TaskLimits
from afterwrite.storage.commits import TaskDatabase
from afterwrite.tasks.manager import WorkerManager
from afterwrite.tasks.queue import TaskQueue
from afterwrite.tasks.registry import Registry
from afterwrite.tasks.statements import Prepared
from afterwrite.tasks.store import TaskStore
from afterwrite.tasks.task import Task
from afterwrite.tasks.worker import BaseWorker
from afterwrite.tasks.workers.webhook_delivery import delivery_of


class TaskRuntime:
    """The tasks of one database and their workers; opened by the constructor."""

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
        """Takes ownership of ``database``. ``name`` is the name of this process, if it has one.

        ``types`` are the types to run here (None: all); ``concurrency`` is the limit per type (None: the worker's own).
        Raises StoreError, and ValueError for invalid workers.
        """
        self.registry = Registry(workers, limits.payload_max_bytes, private_callbacks=limits.private_callbacks)
        self.database = database
        try:
            self.store = store = TaskStore(database.commits, self._delivery)
        except BaseException:
            self.close()
            raise
        self.manager = WorkerManager(
            store, self.registry, background, limits, on_recorded, name=name, types=types, concurrency=concurrency
        )
        self.queue = TaskQueue(store, database.reader, self.registry, self.manager, limits)

    def start(self, *, alone: bool) -> None:
        """Start the workers; ``alone``: no other process has this database."""
        self.manager.start(alone=alone)

    def stop(self) -> None:
        """Let running tasks finish for up to ``stop_seconds``, release the others; may be called twice."""
        self.queue.announce_stop()
        self.manager.stop()

    def close(self) -> None:
        """Close the database; call ``stop`` first."""
        self.database.close()

    def _delivery(self, task: Task) -> Prepared | None:
        """The webhook delivery of an ended task, if it has a callback URL."""
        new = delivery_of(task)
        return None if new is None else self.registry.prepare_own(new)
