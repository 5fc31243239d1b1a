"""The running tasks of this process, and their outcomes until they are recorded."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from afterwrite.tasks.execution import execute
from afterwrite.tasks.registry import Registry
from afterwrite.tasks.store import Held, Turn
from afterwrite.tasks.task import Failed, Outcome, Progress, Stopped, Task
from afterwrite.tasks.worker import CancelAsked, LockLost, TaskContext

_log = logging.getLogger("afterwrite.tasks")


@dataclass(slots=True, eq=False)
class Run:
    """A claimed task until its outcome is recorded; ``coroutine`` executes it."""

    task: Task
    context: TaskContext
    coroutine: "asyncio.Task[None] | None" = None

    def lose_lock(self) -> None:
        """Signal the lost lock to the worker and cancel it."""
        self.context.stop(LockLost)
        if self.coroutine is not None:
            self.coroutine.cancel()


@dataclass(slots=True, eq=False)
class Report:
    """An outcome to be recorded; ``done`` resolves to whether it was."""

    run: Run
    outcome: Outcome
    done: "asyncio.Future[bool] | None" = None


class Running:
    """The runs of one process; call every method on the loop.

    ``on_report`` is called when there is an outcome to record, and when a slot becomes free.
    """

    def __init__(
        self,
        registry: Registry,
        store_name: str,
        code_threads: Executor,
        result_max_bytes: int,
        on_report: Callable[[Task], None],
    ) -> None:
        self._registry, self._store_name, self._code_threads = registry, store_name, code_threads
        self._result_max_bytes, self._on_report = result_max_bytes, on_report
        self._reports: list[Report] = []
        self._cancelled_early: set[tuple[int, int]] = set()  # claims
        self.runs: dict[int, Run] = {}
        self.busy: Counter[str] = Counter()  # slots in use, by type
        # Since the start: ends by type and status, failed attempts to retry, outcomes dropped.
        self.ended: Counter[tuple[str, str]] = Counter()
        self.retried = self.lost = 0

    @property
    def is_empty(self) -> bool:
        return not self.runs and not self._reports

    def begin(self, task: Task) -> None:
        """Start a task that was just claimed."""
        run = self._hold(task)
        self.busy[task.type] += 1
        run.coroutine = asyncio.create_task(self._execute(run), name=f"task-{task.id}")

    def give_back(self, task: Task) -> None:
        """Release a task that was just claimed, because the workers are about to stop."""
        self._reports.append(Report(self._hold(task), Stopped()))

    def cancel(self, task_id: int, claim: int) -> None:
        """Signal a cancel to the worker of a task claimed by this process."""
        run = self.runs.get(task_id)
        if run is not None and run.task.claim == claim:
            run.context.stop(CancelAsked)
        else:  # not started yet, or over
            self._cancelled_early.add((task_id, claim))

    def claims_have_begun(self) -> None:
        """Forget early cancels: all claimed tasks have started, so any cancel left is for a finished one."""
        self._cancelled_early.clear()

    def take_reports(self) -> list[Report]:
        """Take the reports to record, at most one per run: an end after progress waits for the next turn."""
        taken: dict[int, Report] = {}
        left = []
        for report in self._reports:
            if report.run.task.id in taken:
                left.append(report)
            else:
                taken[report.run.task.id] = report
        self._reports = left
        return list(taken.values())

    def put_back(self, reports: Sequence[Report]) -> None:
        """Requeue reports that could not be recorded."""
        self._reports[:0] = reports

    @property
    def has_reports(self) -> bool:
        return bool(self._reports)

    def settle(self, reports: Sequence[Report], turn: Turn) -> None:
        """Apply what a turn recorded, and stop the workers that lost their lock."""
        recorded = {(task.id, task.claim): task for task in turn.recorded}
        for report in reports:
            run, before = report.run, report.run.task
            after = recorded.get((before.id, before.claim))
            if after is None:
                self._drop(report)
            else:
                run.task = after
                self._count(after, report.outcome)
                if after.cancel_asked:
                    run.context.stop(CancelAsked)
            if report.done is None:
                self._forget(run)
            elif not report.done.done():
                report.done.set_result(after is not None)

    def renewed(self, runs: Sequence[Run], held: Sequence[Held]) -> None:
        """Apply a heartbeat: stop workers that lost their lock or whose task was cancelled."""
        claims = {(lock.id, lock.claim): lock.cancel_asked for lock in held}
        for run in runs:
            cancel_asked = claims.get((run.task.id, run.task.claim))
            if cancel_asked is None and self.runs.get(run.task.id) is run:
                run.lose_lock()
            elif cancel_asked:
                run.context.stop(CancelAsked)

    async def finish(self, timeout_seconds: float) -> None:
        """Let running tasks finish for a time, then cancel the rest."""
        working = [
            run.coroutine for run in self.runs.values() if run.coroutine is not None and not run.coroutine.done()
        ]
        if not working:
            return
        _, late = await asyncio.wait(working, timeout=timeout_seconds)
        for coroutine in late:
            coroutine.cancel()
        if late:
            _log.info("%d tasks did not finish in %g s: they are released, to run again", len(late), timeout_seconds)
            await asyncio.wait(late, timeout=1.0)

    def _hold(self, task: Task) -> Run:
        if earlier := self.runs.get(task.id):  # claimed again, so the earlier claim lost its lock
            earlier.lose_lock()

        async def report_progress(progress: Progress) -> None:
            await self._progress(run, progress)

        context = TaskContext(task, self._store_name, self._code_threads, report_progress)
        run = self.runs[task.id] = Run(task, context)
        if task.cancel_asked or (task.id, task.claim) in self._cancelled_early:
            context.stop(CancelAsked)
        return run

    def _forget(self, run: Run) -> None:
        if self.runs.get(run.task.id) is run:
            del self.runs[run.task.id]

    async def _execute(self, run: Run) -> None:
        task = run.task
        outcome: Outcome | None = Stopped()
        try:
            outcome = await execute(self._registry, task, run.context, self._result_max_bytes)
        finally:
            self.busy[task.type] -= 1
            if outcome is None:
                self._forget(run)
            else:
                self._reports.append(Report(run, outcome))
            self._on_report(task)

    async def _progress(self, run: Run, progress: Progress) -> None:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._reports.append(Report(run, progress, done))
        self._on_report(run.task)
        if not await done:
            raise LockLost

    def _drop(self, report: Report) -> None:
        task = report.run.task
        self.lost += 1
        report.run.context.stop(LockLost)
        what = type(report.outcome).__name__
        _log.warning(
            "task %d (%s), attempt %d: the lock was lost, %s is not recorded", task.id, task.type, task.attempt, what
        )

    def _count(self, task: Task, outcome: Outcome) -> None:
        if task.has_ended:
            self.ended[task.type, task.status] += 1
        elif isinstance(outcome, Failed):
            self.retried += 1
