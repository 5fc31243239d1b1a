"""Afterwrite's task queue with creators and workers in this process, as in the server."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.limits import TaskLimits
from afterwrite.base.settings import Settings
from afterwrite.storage.sqlite.data_folder import open_task_file, open_with_tasks
from afterwrite.tasks.runtime import TaskRuntime
from afterwrite.tasks.task import NewTask, Task, TaskStatus
from afterwrite.tasks.worker import BaseWorker
from bench.noop_workers import TASK_TYPE, NoopWorker

WAIT_SECONDS = 60
READERS = 4


class OwnQueue:
    """The task queue of a new data folder; its workers run until ``close``."""

    def __init__(self, folder: Path, handler: Callable[[], None]) -> None:
        self._ended = EndedCount()
        self._background = BackgroundLoop()
        self._background.start()
        self._runtime = open_runtime(folder, [NoopWorker(handler)], self._background, self._count)
        self._runtime.start(alone=True)

    def create(self) -> None:
        """Create a task; it is on disk when this returns."""
        self._runtime.queue.create(NewTask(TASK_TYPE, {}))

    def wait_ended(self, count: int) -> None:
        """Wait until ``count`` tasks of this queue are COMPLETED."""
        self._ended.wait(count)

    def close(self) -> None:
        """Stop the workers and close the database."""
        self._runtime.stop()
        self._background.stop()
        self._runtime.close()

    def _count(self, tasks: Sequence[Task]) -> None:
        self._ended.add(sum(task.status == TaskStatus.COMPLETED for task in tasks))


class EndedCount:
    """A thread-safe counter of ended tasks that can be waited for."""

    def __init__(self) -> None:
        self._count = 0
        self._more = threading.Condition()

    def add(self, count: int) -> None:
        """Add ``count`` ended tasks."""
        with self._more:
            self._count += count
            self._more.notify_all()

    def wait(self, count: int) -> None:
        """Wait until ``count`` tasks have ended; RuntimeError on timeout."""
        with self._more:
            if not self._more.wait_for(lambda: self._count >= count, WAIT_SECONDS):
                raise RuntimeError(f"{self._count} of {count} tasks ended within {WAIT_SECONDS} s")


def open_runtime(
    folder: Path,
    workers: Sequence[BaseWorker],
    background: BackgroundLoop,
    on_recorded: Callable[[Sequence[Task]], None] = lambda _: None,
) -> TaskRuntime:
    """The tasks of a data folder, created if it is new, with the server's default limits."""
    settings = Settings(data_dir=folder)
    open_with_tasks(settings, None).close()
    limits = TaskLimits.of(settings)
    database = open_task_file(settings.tasks_path, settings.journal_sync, READERS)
    return TaskRuntime(database, workers, background, limits, on_recorded)
