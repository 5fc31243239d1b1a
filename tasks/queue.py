"""Accepts tasks and requests about them: what everybody above the tasks calls."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tasks.listing import TaskFilter, TaskListing, TypeReport
from tasks.manager import ManagerStatus, WorkerManager
from tasks.registry import Refusal, Registry, TaskRefused
from tasks.store import KeyReused, TaskStore
from tasks.task import MoveNotAllowed, NewTask, Task, TaskStatus, asked_again, asked_to_cancel
from tasks.watching import TaskWatch, Watchers

_COUNTED_EVERY_SECONDS = 5.0
_COUNTED_WHEN_FULL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """The most tasks that may wait, and how long a lock lasts that nobody renews."""

    max_waiting: int
    lock_seconds: float


class TaskQueue:
    """The way of every task: ``create`` answers when it is on disk, the manager's workers run it afterwards.

    Every method may be called from any thread; all of them raise StoreError when the database cannot be used.
    """

    def __init__(
        self,
        store: TaskStore,
        listing: TaskListing,
        registry: Registry,
        manager: WorkerManager,
        limits: TaskLimits,
    ) -> None:
        self._store, self._listing, self._registry, self._manager = store, listing, registry, manager
        self._limits = limits
        self._watchers = Watchers(listing.find_many)
        store.on_change.append(self._watchers.changed)
        self._room_lock = threading.Lock()
        self._waiting = 0
        self._counted_at = float("-inf")
        self.stop_announced = False

    @property
    def lock_seconds(self) -> float:
        """How long a lock lasts that nobody renews."""
        return self._limits.lock_seconds

    def create(self, new: NewTask) -> Task:
        """Accept a task; it is on disk when this returns. Raises TaskRefused."""
        return self.create_many([new])[0]

    def create_many(self, new: Sequence[NewTask]) -> list[Task]:
        """Accept tasks in one commit, all or none, and return them as they were accepted. Raises TaskRefused.

        A task whose idempotency key is known is not added again but returned as it is now.
        """
        if self.stop_announced:
            raise TaskRefused(
                Refusal.SHUTTING_DOWN, "The server is stopping: nothing was accepted. Send this again shortly"
            )
        prepared = [self._registry.prepare(one) for one in new]
        self._take_room(len(prepared))
        added = 0
        try:
            tasks, added = self._store.add(prepared)
        except KeyReused as error:
            raise TaskRefused(
                Refusal.IDEMPOTENCY_KEY_REUSED,
                f"The idempotency key {str(error)!r} was used for another task: use a new key",
                "idempotencyKey",
            ) from error
        finally:
            self._give_room_back(len(prepared) - added)
        return tasks

    def cancel(self, task_id: int) -> Task:
        """Cancel a task: at once while it waits; while it runs its worker is told, and ends it. Raises TaskRefused."""
        return self._moved(
            task_id, asked_to_cancel, Refusal.TASK_NOT_CANCELLABLE, "only one that waits or runs can be"
        )

    def retry(self, task_id: int) -> Task:
        """Put a FAILED or CANCELLED task in line again, with all its attempts. Raises TaskRefused."""
        return self._moved(
            task_id,
            asked_again,
            Refusal.TASK_NOT_RETRYABLE,
            "only a FAILED or CANCELLED one can be tried again",
        )

    def edit(self, task_id: int, change: Callable[[Task, int], Task]) -> Task:
        """Put ``change(task, now_us)`` in the place of a task, in one transaction.

        ``change`` may be called more than once, and may raise TaskRefused or MoveNotAllowed; then nothing changes.
        """
        changed = self._store.change(task_id, change)
        if changed is None:
            raise TaskRefused(Refusal.TASK_NOT_FOUND, f"There is no task {task_id}", "id")
        return changed

    def pause(self, task_type: str) -> TypeReport:
        """Start no more tasks of a type until ``resume``; those that run go on. Raises TaskRefused."""
        return self._set_paused(task_type, paused=True)

    def resume(self, task_type: str) -> TypeReport:
        """Start tasks of a type again. Raises TaskRefused."""
        return self._set_paused(task_type, paused=False)

    def find(self, task_id: int) -> Task | None:
        """One task, or None."""
        return self._listing.find(task_id)

    def find_correlated(self, correlation_id: str, task_type: str | None = None) -> Task | None:
        """The newest task (of a type) with a correlation id, or None."""
        return self._listing.find_correlated(correlation_id, task_type)

    def newest(self, wanted: TaskFilter, before: int | None, limit: int) -> list[Task]:
        """The newest ``limit`` tasks with an id below ``before``, newest first."""
        return self._listing.newest(wanted, before, limit)

    def page(self, wanted: TaskFilter, limit: int, offset: int) -> list[Task]:
        """``limit`` tasks after the first ``offset``, newest first."""
        return self._listing.page(wanted, limit, offset)

    def count(self, wanted: TaskFilter) -> int:
        """How many tasks the filter lets through."""
        return self._listing.count(wanted)

    def types(self) -> list[TypeReport]:
        """Every type that has a worker or a task, by name."""
        counts, paused = self._listing.counts(), self._listing.paused()
        names = sorted({*self._registry.types, *counts})
        return [self._report(name, counts.get(name, {}), paused=name in paused) for name in names]

    def watch(self, *, task_id: int | None = None, task_type: str | None = None) -> TaskWatch:
        """Watch one task, the tasks of a type, or all, from now on; to be closed."""
        return self._watchers.watch(task_id, task_type)

    def status(self) -> ManagerStatus:
        """How the workers are; answered whatever state the database is in."""
        return self._manager.status()

    def announce_stop(self) -> None:
        """Let those who watch go on, accept no more, and claim no more."""
        self.stop_announced = True
        self._watchers.stop()
        self._manager.announce_stop()

    def _moved(self, task_id: int, change: Callable[[Task, int], Task], refusal: Refusal, only: str) -> Task:
        try:
            return self.edit(task_id, change)
        except MoveNotAllowed as error:
            raise TaskRefused(refusal, f"Task {task_id} is {error.status}: {only}", "id") from error

    def _take_room(self, count: int) -> None:
        """Raise TaskRefused when too many tasks wait; between two counts what has begun is not taken off."""
        with self._room_lock:
            is_full = self._waiting + count > self._limits.max_waiting
            every = _COUNTED_WHEN_FULL_SECONDS if is_full else _COUNTED_EVERY_SECONDS
            if time.monotonic() - self._counted_at > every:
                self._waiting = self._listing.count(TaskFilter(frozenset({TaskStatus.PENDING})))
                self._counted_at = time.monotonic()
            if self._waiting + count > self._limits.max_waiting:
                raise TaskRefused(
                    Refusal.QUEUE_FULL,
                    f"{self._waiting:,} tasks wait, {self._limits.max_waiting:,} are the limit (TASKS_MAX): "
                    "nothing was accepted. Send this again later",
                )
            self._waiting += count

    def _give_room_back(self, count: int) -> None:
        with self._room_lock:
            self._waiting = max(0, self._waiting - count)

    def _set_paused(self, task_type: str, *, paused: bool) -> TypeReport:
        counts = self._listing.counts().get(task_type, {})
        if self._registry.worker(task_type) is None and not counts:
            known = ", ".join(self._registry.types)
            raise TaskRefused(
                Refusal.UNKNOWN_TASK_TYPE,
                f"There are no tasks of the type {task_type[:255]!r}; there are {known}",
                "type",
            )
        self._store.set_paused(task_type, paused=paused)
        if not paused:
            self._manager.resumed(task_type)
        return self._report(task_type, counts, paused=paused)

    def _report(self, task_type: str, counts: dict[TaskStatus, int], *, paused: bool) -> TypeReport:
        worker = self._registry.worker(task_type)
        durations = self._listing.durations_ms(task_type) if counts.get(TaskStatus.COMPLETED) else []
        percentile = partial(_percentile, durations)
        return TypeReport(
            task_type,
            {status: counts.get(status, 0) for status in TaskStatus},
            paused,
            0 if worker is None else worker.concurrency,
            self._manager.running(task_type),
            percentile(50),
            percentile(95),
        )


def _percentile(ascending: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile, or None of nothing."""
    if not ascending:
        return None
    return ascending[max(0, -(-percent * len(ascending) // 100) - 1)]
