"""Opens the real task database, queue and workers in the test's own process."""

import asyncio
import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import Any

from databases import Database

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.limits import TaskLimits
from afterwrite.tasks.feed import TaskFeed
from afterwrite.tasks.retry import RetryPolicy
from afterwrite.tasks.runtime import TaskRuntime
from afterwrite.tasks.task import NewTask, Task
from afterwrite.tasks.worker import BaseWorker, TaskContext

WAIT_SECONDS = 30.0
LIMITS = TaskLimits(
    max_waiting=10_000,
    payload_max_bytes=1 << 16,
    lock_seconds=120,
    stop_seconds=WAIT_SECONDS,
    retention_seconds=3600,
    idempotency_seconds=3600,
    code_threads=4,
    private_callbacks=True,  # the receivers of the tests are on this machine
)
AT_ONCE = RetryPolicy(max_attempts=3, first_seconds=0, longest_seconds=0)

Work = Callable[[Task, TaskContext], Any]


async def echo(task: Task, _context: TaskContext) -> Any:
    """Do nothing but give the payload back."""
    return task.payload


class CalledWorker(BaseWorker):
    """Runs tasks of the type ``called`` with a coroutine function of the test; keeps what it was given."""

    types = {"called": {"type": "object"}}
    concurrency = 8
    retry = AT_ONCE

    def __init__(self, work: Work) -> None:
        self._work = work
        self.began: list[Task] = []
        self.begun = threading.Semaphore(0)
        self.closed = False

    async def execute_task(self, task: Task, context: TaskContext) -> Any:
        """Do what the test wants."""
        self.began.append(task)
        self.begun.release()
        return await self._work(task, context)

    async def close(self) -> None:
        """Take note."""
        self.closed = True

    def wait_begun(self, count: int = 1) -> None:
        """Wait until so many more runs have begun."""
        for _ in range(count):
            assert self.begun.acquire(timeout=WAIT_SECONDS), "the worker was not called"


class Gate:
    """Lets coroutines on another loop wait until the test opens it."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def wait(self) -> None:
        """Wait for ``open``."""
        self._loop = asyncio.get_running_loop()
        await self._opened.wait()

    def open(self) -> None:
        """Let all go on."""
        if self._loop is None:
            self._opened.set()
        else:
            self._loop.call_soon_threadsafe(self._opened.set)


class TaskHouse:
    """The tasks of one database as one process has them; a second one on it stands for another process."""

    def __init__(self, database: Database, *workers: BaseWorker, **limits: Any) -> None:
        self.database = database
        self.background = BackgroundLoop()
        self.background.start()
        self.recorded: list[Task] = []
        self._stopped = False
        limited, told = dataclasses.replace(LIMITS, **limits), self.recorded.extend
        tasks, self._sharing, name = database.open_tasks()
        self.runtime = TaskRuntime(tasks, workers, self.background, limited, told, name=name)
        self.queue, self.store = self.runtime.queue, self.runtime.store
        if self._sharing is not None:
            TaskFeed(self._sharing.bus, self.runtime, self.background).start()
            self.background.submit(self._sharing.start()).result(WAIT_SECONDS)

    def start(self, *, alone: bool = False) -> "TaskHouse":
        """Let the workers begin."""
        self.runtime.start(alone=alone)
        return self

    def create(self, task_type: str = "called", **fields: Any) -> Task:
        """Create a task."""
        return self.queue.create(NewTask(task_type, fields.pop("payload", {}), **fields))

    def get(self, task: Task) -> Task:
        """The task as it is now."""
        found = self.queue.find(task.id)
        assert found is not None
        return found

    def wait(self, task: Task, holds: Callable[[Task], Any] = lambda task: task.has_ended) -> Task:
        """Wait until something holds of a task, which is that it has ended."""
        watch = self.queue.watch(task_id=task.id)
        now = self.get(task)
        while not holds(now):
            changed = watch.next(WAIT_SECONDS)
            assert changed, f"nothing happens any more to {now}"
            now = changed[0]
        watch.close()
        return now

    def wait_all(self, tasks: Sequence[Task]) -> list[Task]:
        """Wait until all of the tasks have ended."""
        return [self.wait(task) for task in tasks]

    def rows(self, statement: str, *values: object) -> list[Any]:
        """What a statement finds in the database."""
        return self.database.rows(statement, *values)

    def now_us(self) -> int:
        """The database's time, in microseconds since 1970."""
        return self.runtime.database.commits.clock.now_us()

    def is_held_up(self) -> bool:
        """Whether what it wants to write cannot be written at the moment."""
        return self.queue.status().trouble is not None or self.database.has_waiting()

    def stop(self) -> None:
        """Stop the workers and let go of everything; may be called twice."""
        self.runtime.stop()
        if self._sharing is not None and not self._stopped:
            self.background.submit(self._sharing.stop()).result(WAIT_SECONDS)
        self._stopped = True
        self.background.stop()
        self.runtime.close()


MakeHouse = Callable[..., TaskHouse]
