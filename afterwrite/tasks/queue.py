"""The task queue: creates, cancels, retries, pauses, prunes, lists and watches tasks."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Engine

from afterwrite.base.limits import TaskLimits
from afterwrite.base.times import from_microseconds
from afterwrite.tasks.actions import ActionKind, Pause
from afterwrite.tasks.listing import TaskFilter, TaskListing, TypeReport
from afterwrite.tasks.manager import ManagerStatus, WorkerManager
from afterwrite.tasks.registry import Refusal, Registry, TaskRefused
from afterwrite.tasks.store import KeyReused, TaskStore
from afterwrite.tasks.task import MoveNotAllowed, NewTask, Task, TaskStatus, asked_again, asked_to_cancel
from afterwrite.tasks.watching import TaskWatch, Watchers
from afterwrite.tasks.worker import Schema

_COUNTED_EVERY_SECONDS = 5.0
_COUNTED_WHEN_FULL_SECONDS = 0.05
_COUNTS_KEPT_SECONDS = 1.0
_PRUNED_AT_ONCE = 1_000
_POLLED_BACK_SECONDS, _POLLED_AT_ONCE = 5.0, 2_000


class TaskQueue(TaskListing):
    """The entry point to tasks: ``create`` returns once a task is on disk, workers run it afterwards.

    It answers the queries of ``TaskListing``, and adds what changes and watches tasks.

    Every method is safe to call from any thread and raises StoreError when the database is unavailable.
    """

    def __init__(
        self, store: TaskStore, reader: Engine, registry: Registry, manager: WorkerManager, limits: TaskLimits
    ) -> None:
        super().__init__(reader)
        self._store, self._registry, self._manager, self._limits = store, registry, manager, limits
        self.lock_seconds = limits.lock_seconds  # how long a lock lasts without renewal
        self.watchers = Watchers(self.find_many)
        store.on_change.append(self.watchers.changed)
        self._room_lock = threading.Lock()
        self._waiting = 0
        self._counted_at = float("-inf")
        self._counts: dict[TaskStatus, int] = {}
        self._counts_lock, self._counts_at = threading.Lock(), float("-inf")
        self._pulse: tuple[int | None, ...] = ()
        self.stop_announced = False

    @property
    def changes(self) -> int:
        """A counter that rises with every commit that changes tasks or pauses or resumes a type."""
        return self._store.changes

    def create(self, new: NewTask) -> Task:
        """Accept a task; it is on disk when this returns. Raises TaskRefused."""
        return self.create_many([new])[0]

    def create_many(self, new: Sequence[NewTask]) -> list[Task]:
        """Accept tasks in one commit, all or none. Raises TaskRefused.

        A task whose idempotency key is known is not added again; its current state is returned.
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
            with self._room_lock:
                self._waiting = max(0, self._waiting - len(prepared) + added)
        return tasks

    def cancel(self, task_id: int, by: str | None = None) -> Task:
        """Cancel a task: at once while it waits; a running task is ended by its worker. Raises TaskRefused.

        ``by``, here and below, is the caller's name, which is recorded with the action.
        """
        only = "only a waiting or running task can be"
        with _refusing(task_id, Refusal.TASK_NOT_CANCELLABLE, only):
            return self._change(task_id, asked_to_cancel, ActionKind.CANCEL, by)

    def retry(self, task_id: int, by: str | None = None) -> Task:
        """Queue a FAILED or CANCELLED task again, with all its attempts. Raises TaskRefused."""
        only = "only a FAILED or CANCELLED task can be retried"
        with _refusing(task_id, Refusal.TASK_NOT_RETRYABLE, only):
            return self._change(task_id, asked_again, ActionKind.RETRY, by)

    def edit(self, task_id: int, change: Callable[[Task, int], Task], by: str | None = None) -> Task:
        """Replace a task with ``change(task, now_us)`` in one transaction.

        ``change`` may be called more than once. If it raises TaskRefused or MoveNotAllowed, nothing changes.
        """
        return self._change(task_id, change, ActionKind.EDIT, by)

    def pause(self, task_type: str, by: str | None = None) -> TypeReport:
        """Stop starting tasks of a type until ``resume``; running ones continue. Raises TaskRefused."""
        return self._set_paused(task_type, by, paused=True)

    def resume(self, task_type: str, by: str | None = None) -> TypeReport:
        """Start tasks of a paused type again. Raises TaskRefused."""
        return self._set_paused(task_type, by, paused=False)

    def prune(self, ended_before_us: int, by: str | None = None) -> int:
        """Delete tasks that ended before a time, with their actions; return how many. Raises TaskRefused.

        The time must not be later than the start of the idempotency window, or a repeat would be taken for a new
        request. If the server stops meanwhile, the rest is left.
        """
        latest = self._store.now_us() - int(self._limits.idempotency_seconds * 1_000_000)
        if ended_before_us > latest:
            raise TaskRefused(
                Refusal.INVALID_ARGUMENT,
                f"endedBefore is {_iso(ended_before_us)}: tasks are kept for "
                f"{self._limits.idempotency_seconds / 3600:g} h after their end, so that retries are recognised "
                f"(IDEMPOTENCY_HOURS). Give {_iso(latest)} or an earlier time",
                "endedBefore",
            )
        pruned = last = self._store.prune(ended_before_us, _PRUNED_AT_ONCE, asked=True, by=by)
        while last == _PRUNED_AT_ONCE and not self.stop_announced:
            last = self._store.prune(ended_before_us, _PRUNED_AT_ONCE)
            pruned += last
        return pruned

    def counts(self) -> dict[TaskStatus, int]:
        """The number of tasks per status, cached for up to a second: counting reads an index entry per task."""
        with self._counts_lock:
            if time.monotonic() - self._counts_at > _COUNTS_KEPT_SECONDS:
                self._counts = super().counts()
                self._counts_at = time.monotonic()
            return dict(self._counts)

    def pause_of(self, task_type: str) -> Pause | None:
        """Who paused a type and when; None if it is not paused."""
        return self.pauses().get(task_type)

    def schema_of(self, task_type: str) -> Schema:
        """The JSON Schema of a type's payload. Raises KeyError if the type has no worker."""
        return self._registry.schema_of(task_type)

    def types(self) -> list[TypeReport]:
        """The types that have a worker or a task, sorted."""
        counts, pauses = self.type_counts(), self.pauses()
        names = sorted({*self._registry.types, *counts})
        return [self._report(name, counts.get(name, {}), pauses.get(name)) for name in names]

    def watch(self, *, task_id: int | None = None, task_type: str | None = None) -> TaskWatch:
        """Watch one task, the tasks of a type, or all tasks, from now on; close the watch after use."""
        return self.watchers.watch(task_id, task_type)

    def poll_changes(self) -> None:
        """Poll for recent changes by other processes, in case a notification was lost."""
        pulse = self.pulse()
        if pulse == self._pulse:
            return
        self._pulse = pulse
        self._store.count_change()
        if self.watchers.watch_something:
            since_us = self._store.now_us() - int(_POLLED_BACK_SECONDS * 1_000_000)
            self.watchers.changed(self.changed_since(since_us, _POLLED_AT_ONCE))

    def status(self) -> ManagerStatus:
        """The state of the workers; works even without the database."""
        return self._manager.status()

    def announce_stop(self) -> None:
        """End all watches, and accept and claim no more tasks."""
        self.stop_announced = True
        self.watchers.stop()
        self._manager.announce_stop()

    def _change(self, task_id: int, change: Callable[[Task, int], Task], kind: ActionKind, by: str | None) -> Task:
        changed = self._store.change(task_id, change, kind, by)
        if changed is None:
            raise TaskRefused(Refusal.TASK_NOT_FOUND, f"There is no task {task_id}", "id")
        return changed

    def _take_room(self, count: int) -> None:
        """Raise TaskRefused when too many tasks wait; tasks started since the last count still count."""
        with self._room_lock:
            is_full = self._waiting + count > self._limits.max_waiting
            every = _COUNTED_WHEN_FULL_SECONDS if is_full else _COUNTED_EVERY_SECONDS
            if time.monotonic() - self._counted_at > every:
                self._waiting = self.count(TaskFilter(frozenset({TaskStatus.PENDING})))
                self._counted_at = time.monotonic()
            if self._waiting + count > self._limits.max_waiting:
                raise TaskRefused(
                    Refusal.QUEUE_FULL,
                    f"{self._waiting:,} tasks wait, the limit is {self._limits.max_waiting:,} (TASKS_MAX): "
                    "nothing was accepted. Send this again later",
                )
            self._waiting += count

    def _set_paused(self, task_type: str, by: str | None, *, paused: bool) -> TypeReport:
        counts = self.type_counts().get(task_type, {})
        if self._registry.worker(task_type) is None and not counts:
            known = ", ".join(self._registry.types)
            raise TaskRefused(
                Refusal.UNKNOWN_TASK_TYPE, f"Unknown task type {task_type[:255]!r}: give one of {known}", "type"
            )
        self._store.set_paused(task_type, paused=paused, by=by)
        if not paused:
            self._manager.hear({task_type})
        return self._report(task_type, counts, self.pauses().get(task_type))

    def _report(self, task_type: str, counts: dict[TaskStatus, int], pause: Pause | None) -> TypeReport:
        worker = self._registry.worker(task_type)
        durations = self.durations_ms(task_type) if counts.get(TaskStatus.COMPLETED) else []
        return TypeReport(
            task_type,
            {status: counts.get(status, 0) for status in TaskStatus},
            pause,
            0 if worker is None else worker.concurrency,
            counts.get(TaskStatus.PROCESSING, 0),
            _percentile(durations, 50),
            _percentile(durations, 95),
        )


@contextmanager
def _refusing(task_id: int, refusal: Refusal, only: str) -> Iterator[None]:
    """Turn a disallowed move into a refusal; ``only`` says which tasks are eligible."""
    try:
        yield
    except MoveNotAllowed as error:
        raise TaskRefused(refusal, f"Task {task_id} is {error.status}: {only}", "id") from error


def _iso(microseconds: int) -> str:
    return from_microseconds(microseconds).isoformat(timespec="seconds")


def _percentile(ascending: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile; None if there are no values."""
    if not ascending:
        return None
    return ascending[max(0, -(-percent * len(ascending) // 100) - 1)]
