"""Says what a worker is, what it is given for a task, and how it tells that the task failed or was stopped."""

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
# A result as it is stored: in ASCII, so that a character is a byte.
encode_result = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class TaskFailed(Exception):
    """The attempt failed. Raised by a worker; every other exception counts as a failure to be tried again.

    Args:
        code: for programs, such as ``CARD_DECLINED``.
        message: what happened, the value, what to do. Stored and shown: no secret belongs in it.
        final: trying again is no use; the task ends FAILED.
        retry_after_seconds: when to try again, instead of the pause of the type's policy.
    """

    def __init__(
        self, code: str, message: str, *, final: bool = False, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.final = code, message, final
        self.retry_after_seconds = retry_after_seconds


class TaskStopped(asyncio.CancelledError):
    """The work is to end here: raised in a worker by what it calls on its context, for it to clean up and go."""


class LockLost(TaskStopped):
    """Another worker may have the task now: nothing that this one does is recorded any more."""


class CancelAsked(TaskStopped):
    """Somebody cancelled the task."""


def next_stage(stage: str, progress: int, result: Any = None, *, delay_seconds: float = 0.0) -> StageDone:
    """What ``execute_task`` returns when a stage is done: the task goes back in line for ``stage``.

    ``result`` is kept and given to the next stage as ``task.result``. The lock is released; any worker may claim
    the next stage, after ``delay_seconds``. Raises ValueError and TypeError for what is no JSON value.
    """
    text = None if result is None else encode_result(result)
    return StageDone(stage, progress, text, delay_seconds)


class TaskContext:
    """What a worker has beside the task: progress, pauses, threads, and whether it is to stop."""

    def __init__(
        self, task: Task, store_name: str, threads: Executor, report: Callable[[Progress], Awaitable[None]]
    ) -> None:
        self.task = task
        self._store_name, self._threads, self._report = store_name, threads, report
        self._stopped = asyncio.Event()
        self._why: type[TaskStopped] | None = None

    async def progress(self, percent: int, stage: str | None = None) -> None:
        """Record how far the work is, on disk when this returns. Raises LockLost or CancelAsked."""
        progress = Progress(percent, stage)
        self.check()
        await self._report(progress)
        self.check()

    async def sleep(self, seconds: float) -> None:
        """Pause. Raises LockLost or CancelAsked as soon as there is reason to, and not at the end of the pause."""
        self.check()
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return
        self.check()

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run blocking code in a thread and wait for it: on the loop it would hold up the product writer.

        A thread cannot be ended from outside: a function that takes long should look at ``is_stopped`` at times.
        """
        self.check()
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    @property
    def is_stopped(self) -> bool:
        """Whether the work is to end: the lock is lost or a cancel was asked for. May be read in any thread."""
        return self._why is not None

    @property
    def lock_is_lost(self) -> bool:
        """Whether another worker may have the task by now."""
        return self._why is LockLost

    def check(self) -> None:
        """Raise LockLost or CancelAsked if the work is to end."""
        if self._why is not None:
            raise self._why

    def key(self, step: str = "") -> str:
        """An idempotency key for a call to somebody else: the same at every attempt, and nobody else's.

        It changes when the task is begun anew after a final error, which the other side may have remembered.
        """
        name = f"afterwrite-{self._store_name}-{self.task.id}"
        parts = [name, str(self.task.renewals) if self.task.renewals else "", step]
        return "-".join(part for part in parts if part)

    def stop(self, why: type[TaskStopped]) -> None:
        """Tell the worker to end; called on the loop by who runs it."""
        self._why = self._why or why
        self._stopped.set()


class BaseWorker(ABC):
    """Runs the tasks of some types.

    ``types`` names them, each with the JSON Schema (2020-12) of its payload, against which a task is checked before
    it is accepted. One worker object runs up to ``concurrency`` tasks of each type side by side, on one loop.
    """

    types: ClassVar[Mapping[str, Schema]] = {}
    concurrency: ClassVar[int] = 8
    retry: ClassVar[RetryPolicy] = RetryPolicy()
    time_limit_seconds: ClassVar[float | None] = None
    internal: ClassVar[bool] = False  # its tasks are made by the server itself, and by nobody else
    service: ClassVar[str] = ""  # the service behind it, as /health names it

    def can_handle_task(self, task: Task) -> bool:
        """Whether this worker runs this task."""
        return task.type in self.types

    @abstractmethod
    async def execute_task(self, task: Task, context: TaskContext) -> Any:
        """Do the work and return its result (a JSON value), or ``next_stage(...)``.

        Runs at least once: after a crash it is called again with the same task, so what it does outside must bear
        being done twice (``context.key`` helps). Raises TaskFailed; any other exception counts as a failure that
        may be tried again. Must not block the loop: see ``context.in_thread``.
        """

    def first_stage(self, task_type: str) -> str | None:
        """The stage of a task that was just created; None where there are no stages."""
        return None

    def search_text(self, payload: Any) -> str:
        """What a search for a task of this worker finds it by."""
        return " ".join(leaves(payload))

    def health(self) -> Mapping[str, Any] | None:
        """What /health tells about ``service``; None where there is none."""
        return None

    async def close(self) -> None:  # noqa: B027 - most workers hold nothing
        """Let go of connections; called once, after the last task."""
