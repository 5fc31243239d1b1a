"""The base class of workers, the context of a run, and the exceptions that end one."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any, ClassVar, TypeVar

from afterwrite.tasks.retry import RetryPolicy
from afterwrite.tasks.task import Progress, StageDone, Task, leaves

T = TypeVar("T")
Schema = Mapping[str, Any]
# ASCII only, so that one character is one byte.
encode_result = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class TaskFailed(Exception):
    """Raised by a worker to fail the attempt; any other exception is retried as ``WORKER_ERROR``.

    Args:
        code: for programs, such as ``CARD_DECLINED``.
        message: what happened, the value, the next step. Stored and visible to clients: never put a secret in it.
        final: do not retry; the task ends FAILED.
        retry_after_seconds: overrides the delay of the type's retry policy.
    """

    def __init__(
        self, code: str, message: str, *, final: bool = False, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.final = code, message, final
        self.retry_after_seconds = retry_after_seconds


class TaskStopped(asyncio.CancelledError):
    """Ends the run: raised in a worker by the methods of its context, so that it can clean up."""


class LockLost(TaskStopped):
    """Another worker may hold the task; nothing that this run reports is recorded any more."""


class CancelAsked(TaskStopped):
    """The task was cancelled."""


def next_stage(stage: str, progress: int, result: Any = None, *, delay_seconds: float = 0.0) -> StageDone:
    """Finish a stage: return this from ``execute_task`` to requeue the task for ``stage``.

    ``result`` is stored and available to the next stage as ``task.result``. The lock is released, and any worker may
    claim the next stage after ``delay_seconds``. Raises ValueError or TypeError if ``result`` is not a JSON value.
    """
    text = None if result is None else encode_result(result)
    return StageDone(stage, progress, text, delay_seconds)


class TaskContext:
    """The services of a running task: progress, sleep, threads and cancellation."""

    def __init__(
        self, task: Task, store_name: str, threads: Executor, report: Callable[[Progress], Awaitable[None]]
    ) -> None:
        self.task = task
        self._store_name, self._threads, self._report = store_name, threads, report
        self._stopped = asyncio.Event()
        self._why: type[TaskStopped] | None = None

    async def progress(self, percent: int, stage: str | None = None) -> None:
        """Record progress; it is on disk when this returns. Raises LockLost or CancelAsked."""
        progress = Progress(percent, stage)
        self.check()
        await self._report(progress)
        self.check()

    async def sleep(self, seconds: float) -> None:
        """Sleep. Raises LockLost or CancelAsked at once, even in the middle of the pause."""
        self.check()
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return
        self.check()

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run blocking code in a thread and wait for it; on the event loop it would hold up the writer.

        A thread cannot be killed: a long function should poll ``is_stopped``.
        """
        self.check()
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    @property
    def is_stopped(self) -> bool:
        """Whether the run must end: the lock is lost or the task was cancelled. Safe to read from any thread."""
        return self._why is not None

    @property
    def lock_is_lost(self) -> bool:
        return self._why is LockLost

    def check(self) -> None:
        """Raise LockLost or CancelAsked if the run must end."""
        if self._why is not None:
            raise self._why

    def key(self, step: str = "") -> str:
        """A unique idempotency key for calls to other services, the same at every attempt.

        It changes when a task is retried after a final error, which the other service may have stored under the old
        key.
        """
        name = f"afterwrite-{self._store_name}-{self.task.id}"
        parts = [name, str(self.task.renewals) if self.task.renewals else "", step]
        return "-".join(part for part in parts if part)

    def stop(self, why: type[TaskStopped]) -> None:
        """Make the run end; called on the loop."""
        self._why = self._why or why
        self._stopped.set()


class BaseWorker(ABC):
    """Runs tasks of one or more types.

    ``types`` maps each type to the JSON Schema (2020-12) of its payload; tasks are validated against it before they are
    accepted. One worker object runs up to ``concurrency`` tasks of each type concurrently, on one loop.
    """

    types: ClassVar[Mapping[str, Schema]] = {}
    concurrency: ClassVar[int] = 8
    retry: ClassVar[RetryPolicy] = RetryPolicy()
    time_limit_seconds: ClassVar[float | None] = None
    internal: ClassVar[bool] = False  # only the server creates its tasks
    service: ClassVar[str] = ""  # the external service, as /health names it

    def can_handle_task(self, task: Task) -> bool:
        return task.type in self.types

    @abstractmethod
    async def execute_task(self, task: Task, context: TaskContext) -> Any:
        """Do the work; return its result (a JSON value) or ``next_stage(...)``.

        Runs at least once: after a crash it is called again with the same task, so side effects must be idempotent
        (``context.key`` helps). Raises TaskFailed; any other exception is retried. Must not block the loop: see
        ``context.in_thread``.
        """

    def first_stage(self, task_type: str) -> str | None:
        """The stage of a new task; None if the type has no stages."""
        return None

    def search_text(self, payload: Any) -> str:
        """The text by which a search finds the task."""
        return " ".join(leaves(payload))

    def health(self) -> Mapping[str, Any] | None:
        """What /health reports about ``service``; None if it has none."""
        return None

    async def close(self) -> None:  # noqa: B027 - most workers hold nothing
        """Close connections; called once, after the last task."""
