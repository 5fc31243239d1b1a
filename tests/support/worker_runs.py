"""Runs a worker as the manager does, claim after claim, with a real context in the test's own loop."""

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from afterwrite.tasks.task import Completed, Failed, Outcome, Progress, StageDone, Task, TaskError, TaskStatus, after
from afterwrite.tasks.worker import BaseWorker, TaskContext, TaskFailed

SECONDS = 30.0  # the limit of every wait


class RecordedContext(TaskContext):
    """A real context that remembers how long the worker wanted to pause, and pauses no longer than it is told."""

    slept: list[float]
    longest_pause: float = float("inf")

    async def sleep(self, seconds: float) -> None:
        """Pause, and remember the seconds that were asked for."""
        self.slept.append(seconds)
        await super().sleep(min(seconds, self.longest_pause))


class WorkerRuns:
    """The runs of one worker: what it reported, in which stage, and how long it paused.

    ``on_report`` is called with the context at each report, as a cancel or a lost lock would come.
    """

    def __init__(self, worker: BaseWorker, *, name: str = "process-1", longest_pause: float = 0.0) -> None:
        self.worker, self.name, self.longest_pause = worker, name, longest_pause
        self.reports: list[tuple[int, str | None, int]] = []  # task, stage, percent
        self.claims: list[Task] = []
        self.slept: list[float] = []
        self.contexts: list[RecordedContext] = []
        self.on_report: Callable[[RecordedContext, Progress], None] | None = None

    def claim(self, task: Task) -> Task:
        """The waiting task as it is with its lock."""
        self.claims.append(claimed(task, self.name, now_us()))
        return self.claims[-1]

    async def execute(self, claimed: Task) -> Any:
        """What ``execute_task`` gives for a claimed task; raises what it raises."""
        with ThreadPoolExecutor(1) as threads:

            async def report(progress: Progress) -> None:
                stage = claimed.stage if progress.stage is None else progress.stage
                self.reports.append((claimed.id, stage, progress.percent))
                if self.on_report is not None:
                    self.on_report(context, progress)

            context = RecordedContext(claimed, "test", threads, report)
            context.slept, context.longest_pause = self.slept, self.longest_pause
            self.contexts.append(context)
            return await self.worker.execute_task(claimed, context)

    async def run(self, task: Task) -> Task:
        """One claim of a waiting task, recorded."""
        claimed = self.claim(task)
        try:
            found = await self.execute(claimed)
            outcome: Outcome = found if isinstance(found, StageDone) else Completed(json.dumps(found))
        except TaskFailed as error:
            final = error.final or claimed.attempt >= claimed.max_attempts
            why = TaskError(error.code, str(error), error.final)
            outcome = Failed(why, None if final else error.retry_after_seconds or 0.0)
        return after(claimed, outcome, now_us())

    async def run_to_end(self, task: Task) -> Task:
        """Claim after claim until the task has ended."""
        while not task.has_ended:
            task = await self.run(task)
        return task

    def ended(self, task_type: str, payload: Any) -> Task:
        """A new task of this payload, run to its end in a loop of its own."""
        return asyncio.run(asyncio.wait_for(self.run_to_end(new_task(self.worker, task_type, payload)), SECONDS))


def new_task(worker: BaseWorker, task_type: str, payload: Any, task_id: int = 1) -> Task:
    """A task that was just created for a worker."""
    return waiting_task(now_us())._replace(
        id=task_id,
        type=task_type,
        stage=worker.first_stage(task_type),
        payload_json=json.dumps(payload),
        max_attempts=worker.retry.max_attempts,
    )


def waiting_task(created_at_us: int) -> Task:
    """A task that was just created."""
    nothing: dict[str, Any] = dict.fromkeys(Task._fields)
    numbers = dict.fromkeys(
        ("progress", "error_is_final", "attempt", "priority", "cancel_asked", "renewals", "claim"), 0
    )
    times = dict.fromkeys(("run_at_us", "created_at_us", "updated_at_us"), created_at_us)
    given = {"id": 1, "type": "any", "status": TaskStatus.PENDING.value, "payload_json": "{}"}
    return Task(**{**nothing, **numbers, **times, **given, "max_attempts": 5, "ready": 1})


def claimed(task: Task, worker: str, now: int) -> Task:
    """A waiting task as it is with its lock, as the store's claim gives it; ``now`` in microseconds."""
    assert task.status == TaskStatus.PENDING
    return task._replace(
        status=TaskStatus.PROCESSING.value,
        ready=0,
        claim=task.claim + 1,
        attempt=task.attempt + 1,
        locked_by=worker,
        locked_at_us=now,
        started_at_us=task.started_at_us or now,
        updated_at_us=now,
    )


def now_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000
