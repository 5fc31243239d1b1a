"""The task manager: claims tasks, runs them on the background loop, records their outcomes."""

import asyncio
import concurrent.futures
import logging
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.limits import TaskLimits
from afterwrite.base.store_errors import StoreError
from afterwrite.storage.processes import new_name
from afterwrite.tasks.execution import unrecordable
from afterwrite.tasks.registry import Registry
from afterwrite.tasks.running import Report, Running
from afterwrite.tasks.store import TaskStore, Turn
from afterwrite.tasks.task import Task, TaskStatus
from afterwrite.tasks.upkeep import Upkeep
from afterwrite.tasks.worker import BaseWorker

_log = logging.getLogger("afterwrite.tasks")

T = TypeVar("T")
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
_LEAST_PACE_SECONDS, _MOST_PACE_SECONDS, _MOST_PACE_PER_TURN = 0.003, 0.012, 4
_TASKS_PER_PACE = 4
_CLOSE_SECONDS = 5.0
_LAST_TURN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ManagerStatus:
    """A snapshot of the workers; totals count since the process started. ``trouble``: why no task is claimed."""

    name: str
    running: Mapping[str, int]
    ended: Mapping[tuple[str, str], int]
    retried: int
    lost: int
    trouble: str | None
    integrations: Mapping[str, Mapping[str, Any]]


class WorkerManager:
    """Runs the tasks of one store with the workers of one registry, on the background loop.

    One coroutine alternates between recording and claiming: each turn records the outcomes since the last one and
    claims as many tasks as there are free slots. The store wakes it when a task is added; polling only finds expired
    locks and tasks that another process added. ``on_recorded`` is called on the loop with tasks whose outcome is on
    disk; it must not block.
    """

    def __init__(
        self,
        store: TaskStore,
        registry: Registry,
        background: BackgroundLoop,
        limits: TaskLimits,
        on_recorded: Callable[[Sequence[Task]], None] = lambda _: None,
        *,
        name: str = "",
        types: Collection[str] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """``name``, ``types`` and ``concurrency`` override a generated name, all types and the worker's own limit."""
        self.name = name or new_name()
        self.types = frozenset(registry.types if types is None else types)
        self._concurrency = concurrency
        self._store, self._registry, self._background, self._limits = store, registry, background, limits
        self._on_recorded = on_recorded
        self._hungry = set(self.types)  # types that may have a ready task
        self._due_us: int | None = 0  # when the next scheduled task is due; 0: unknown, query it
        self._trouble: str | None = None
        self._stopping = self._finished = False
        self._unheard = False  # whether a claim may have committed although its answer was lost
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._jobs: list[concurrent.futures.Future[None]] = []
        self._store_thread = ThreadPoolExecutor(1, "task-store")
        self._code_threads = ThreadPoolExecutor(limits.code_threads, "task-code")
        self._running = Running(registry, store.name, self._code_threads, limits.payload_max_bytes, self._has_report)
        self._upkeep = Upkeep(store, registry, self._running, self._tried, self.name, limits.lock_seconds)
        store.on_change.append(self._changed)

    # -- from any thread ------------------------------------------------------------------------------------

    def start(self, *, alone: bool) -> None:
        """Start claiming. ``alone``: no other process has this store, so every lock in it is stale."""
        self._background.submit(self._prepare(alone)).result()
        self._jobs = [
            self._background.keep(name, job)
            for name, job in (
                ("The coroutine that claims and records tasks", self._turns()),
                ("The coroutine that renews locks of tasks", self._upkeep.heartbeats()),
                ("The coroutine that expires locks", self._upkeep.polls(self._poll)),
                ("The retention of tasks", self._upkeep.retention(self._limits.retention_seconds)),
            )
        ]

    def announce_stop(self) -> None:
        """Stop claiming tasks; running ones continue."""
        self._stopping = True

    def stop(self) -> None:
        """Let running tasks finish for ``stop_seconds``, then release their locks; may be called twice."""
        self._stopping = True
        if self._finished or not self._jobs:
            return
        self._finished = True
        self._background.finish(self._finish())
        self._code_threads.shutdown(wait=False, cancel_futures=True)
        self._store_thread.shutdown()

    @property
    def is_running(self) -> bool:
        return bool(self._jobs) and not self._stopping

    def hear(self, types: Collection[str] = (), due_us: int | None = None) -> None:
        """Handle the news that tasks of these types may be ready, or when one is due."""
        self._call(self._feed, set(types), due_us)

    def poll(self) -> None:
        """Poll for ready and due tasks."""
        self._call(self._poll)

    def hear_cancel(self, task_id: int, claim: int) -> None:
        """Handle a notification that a task claimed here was cancelled."""
        self._call(self._running.cancel, task_id, claim)

    def status(self) -> ManagerStatus:
        healths = {worker.service: _health(worker) for worker in self._registry.workers if worker.service}
        return ManagerStatus(
            name=self.name,
            running={name: count for name, count in dict(self._running.busy).items() if count},
            ended=dict(self._running.ended),
            retried=self._running.retried,
            lost=self._running.lost,
            trouble=self._trouble,
            integrations={name: health for name, health in healths.items() if health is not None},
        )

    def _changed(self, tasks: Sequence[Task]) -> None:
        """React to changes in the store: ready tasks, due times, cancels."""
        ready = {task.type for task in tasks if task.ready}
        waiting = [task.run_at_us for task in tasks if task.status == TaskStatus.PENDING and not task.ready]
        cancelled = [task for task in tasks if task.cancel_asked and task.locked_by == self.name]
        # A turn that is about to begin reads this commit anyway.
        noted = self._wake.is_set() and ready <= self._hungry
        if (ready and not noted) or waiting:
            self._call(self._feed, ready, min(waiting, default=None))
        for task in cancelled:
            self._call(self._running.cancel, task.id, task.claim)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        if not self._finished and self._jobs:
            self._background.call(function, *arguments)

    # -- on the loop ----------------------------------------------------------------------------------------

    async def _prepare(self, alone: bool) -> None:
        self._wake.set()  # the store may already have tasks
        if alone:
            expired = 1
            while expired:  # their workers died with the previous process
                expired = await self._in_store(self._store.expire, None, self._upkeep.lost)

    def _feed(self, types: set[str], due_us: int | None) -> None:
        types = types & self.types
        self._hungry |= types
        self._note_due(due_us)
        if types:
            self._wake.set()

    def _poll(self) -> None:
        """Claim and query due tasks without a notification."""
        self._feed(set(self.types), 0)

    def _has_report(self, task: Task) -> None:
        self._hungry.add(task.type)
        self._wake.set()

    async def _turns(self) -> None:
        """Record and claim in a loop until the stop; failures are logged, reported in the status and retried."""
        loop, next_at, pause = asyncio.get_running_loop(), 0.0, _FIRST_PAUSE_SECONDS
        while not (self._finished and self._running.is_empty):
            await self._wake.wait()
            await asyncio.sleep(max(0.0, next_at - loop.time()))
            self._wake.clear()
            begun = loop.time()
            try:
                await self._give_unheard_back()
                tasks = await self._turn()
                self._recover()
                pause = _FIRST_PAUSE_SECONDS
                next_at = begun if tasks is None else begun + _pace(loop.time() - begun, tasks)
            except Exception as error:  # noqa: BLE001 - the loop's single error handler
                self._report_trouble(error)
                self._wake.set()
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _turn(self) -> int | None:
        """Record and claim once; return the number of tasks, or None to run the next turn at once.

        None means that some type filled all its free slots, so more tasks may be ready.
        """
        is_due = self._due_us is not None and self._due_us <= self._store.now_us()
        if is_due:
            self._due_us = None
            self._hungry |= self.types
        elif self._timer is None:
            self._set_timer()  # it has fired, and the database's clock was corrected backwards since it was set
        reports, slots = self._running.take_reports(), self._free_slots()
        if not reports and not slots and not is_due:
            return 0
        self._hungry -= set(slots)
        try:
            turn = await self._claim_and_record(reports, slots, promote_due=is_due)
        except Exception as error:
            self._unheard = self._unheard or bool(slots)
            self._running.put_back(reports)
            self._hungry |= set(slots)
            self._note_due(0 if is_due else None)
            if isinstance(error, StoreError) or not reports:
                raise
            await self._record_one_by_one()
            return 0
        self._note_due(turn.due_us)
        self._settle(reports, turn)
        for task in turn.claimed:
            if self._stopping:
                self._running.give_back(task)
            else:
                self._running.begin(task)
        self._running.claims_have_begun()
        claimed = Counter(task.type for task in turn.claimed)
        full = {name for name, free in slots.items() if claimed[name] == free}
        self._hungry |= full  # more may be ready
        if self._running.has_reports or self._free_slots():
            self._wake.set()
        return None if full else len(reports) + len(turn.claimed)

    async def _give_unheard_back(self) -> None:
        """Release claims whose answer was lost: they do not run here, and block other processes."""
        while self._unheard:
            held = list(self._running.runs)
            self._unheard = not await self._in_store(self._store.give_back, self.name, held)

    async def _claim_and_record(
        self, reports: Sequence[Report], slots: Mapping[str, int], *, promote_due: bool = False
    ) -> Turn:
        outcomes = [(report.run.task, report.outcome) for report in reports]
        work = partial(self._store.claim_and_record, self.name, outcomes, slots, promote_due=promote_due)
        return await self._in_store(work)

    async def _record_one_by_one(self) -> None:
        """Record outcomes separately, so that one that the database rejects fails only its own task."""
        self._wake.set()
        for number, report in enumerate(reports := self._running.take_reports()):
            try:
                turn = await self._record_alone(report)
            except BaseException:
                self._running.put_back(reports[number:])
                raise
            self._settle([report], turn)

    def _settle(self, reports: Sequence[Report], turn: Turn) -> None:
        self._running.settle(reports, turn)
        if turn.recorded:
            self._on_recorded(turn.recorded)

    async def _record_alone(self, report: Report) -> Turn:
        try:
            return await self._claim_and_record([report], {})
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not block the others
            report.outcome = unrecordable(report.run.task, error)
            return await self._claim_and_record([report], {})

    def _note_due(self, due_us: int | None) -> None:
        """Remember when the next scheduled task is due; the earliest time wins."""
        if due_us is not None and (self._due_us is None or due_us < self._due_us):
            self._due_us = due_us
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due_us is not None:
            delay = max(0, self._due_us - self._store.now_us()) / 1e6
            self._timer = asyncio.get_running_loop().call_later(delay + 0.0005, self._timer_fires)

    def _timer_fires(self) -> None:
        self._timer = None
        self._wake.set()

    def _free_slots(self) -> dict[str, int]:
        if self._stopping:
            return {}
        places = {}
        for task_type in self._hungry:
            worker = self._registry.worker(task_type)
            most = 0 if worker is None else self._concurrency or worker.concurrency
            free = most - self._running.busy[task_type]
            if free > 0:
                places[task_type] = free
        return places

    # -- stop -----------------------------------------------------------------------------------------------

    async def _finish(self) -> None:
        self._wake.set()
        await self._running.finish(self._limits.stop_seconds)
        turns, *others = [asyncio.wrap_future(job) for job in self._jobs]
        for job in others:
            job.cancel()
        _, late = await asyncio.wait([turns], timeout=_LAST_TURN_SECONDS)  # to record the last outcomes
        if late:
            _log.error("outcomes of tasks could not be recorded before the stop: the next start retries those tasks")
            turns.cancel()
        await asyncio.gather(*map(_close, self._registry.workers))

    # -- the store ------------------------------------------------------------------------------------------

    async def _in_store(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._store_thread, function, *arguments)

    async def _tried(self, function: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return await self._in_store(function, *arguments)
        except Exception as error:  # noqa: BLE001 - the next try may succeed
            self._report_trouble(error)
            return None

    def _report_trouble(self, error: Exception) -> None:
        message = str(error)
        if message != self._trouble:  # log each problem once, not every try
            expected = isinstance(error, StoreError)
            _log.error("%s", message, exc_info=error if not expected else (error.__cause__ or error))
        self._trouble = message

    def _recover(self) -> None:
        if self._trouble is not None:
            _log.info("the task database is available again")
            self._trouble = None


def _pace(turn_seconds: float, tasks: int) -> float:
    """The minimum interval between turns in seconds, after a turn that handled so many tasks.

    Each turn costs a commit and delays callers that add tasks. On a busy machine turns take longer and share more
    tasks; with few tasks there is nothing to batch, so the next turn need not wait.
    """
    turns = min(1 + tasks / _TASKS_PER_PACE, _MOST_PACE_PER_TURN)
    return min(max(_LEAST_PACE_SECONDS, turns * turn_seconds), _MOST_PACE_SECONDS)


def _health(worker: BaseWorker) -> Mapping[str, Any] | None:
    try:
        return worker.health()
    except Exception as error:  # noqa: BLE001 - a worker may raise anything, and /health must answer
        return {"status": "error", "trouble": f"{type(error).__name__}: {error}"}


async def _close(worker: BaseWorker) -> None:
    try:
        await asyncio.wait_for(worker.close(), _CLOSE_SECONDS)
    except (Exception, asyncio.CancelledError):  # noqa: BLE001 - a worker may raise anything, and the stop continues
        _log.exception("the worker %s failed to close", type(worker).__name__)
