"""The task store: adds, claims, records and edits tasks, each in one short transaction."""

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from afterwrite.base.counts import counted
from afterwrite.storage.commits import Commits
from afterwrite.storage.driver import DriverConnection, encode_rows
from afterwrite.storage.ids import Ids
from afterwrite.storage.outbox import MadeTasks
from afterwrite.storage.retention_clock import Reading, RetentionClock
from afterwrite.tasks import statements as sql
from afterwrite.tasks.actions import ActionKind, ActionLog
from afterwrite.tasks.statements import Prepared, new_row, saving, task_of
from afterwrite.tasks.task import ENDED, MoveNotAllowed, Outcome, Stopped, Task, TaskStatus, after

_log = logging.getLogger("afterwrite.tasks")

_DUE_AT_ONCE, _GIVEN_BACK_AT_ONCE = 1_000, 500
_RELAYED = "outbox_through"  # the name in ``meta``
_FOREVER_US = 2**62


class KeyReused(Exception):
    """An idempotency key was reused for a different request."""


class Held(NamedTuple):
    """A lock that still holds, and whether its task was cancelled."""

    id: int
    claim: int
    cancel_asked: bool


class Turn(NamedTuple):
    """The result of one turn: recorded tasks, ids of tasks with a lost lock, claimed tasks.

    ``due_us`` is when the next scheduled task is due, in microseconds since 1970; None if there is none or none was
    queried.
    """

    recorded: list[Task]
    lost: list[int]
    claimed: list[Task]
    due_us: int | None = None


class TaskStore:
    """The tasks of one database. Every method is safe to call from any thread.

    ``ended`` is called for each task that ends and may return a task to add in the same transaction. ``on_change`` is
    called after each commit, in the caller's thread, with the changed tasks; it must not block. Raises StoreError when
    the database is unavailable, and then nothing was changed.
    """

    def __init__(self, commits: Commits, ended: Callable[[Task], Prepared | None]) -> None:
        self._commits, self._ended = commits, ended
        self.on_change: list[Callable[[Sequence[Task]], None]] = []
        self.on_resume: list[Callable[[str], None]] = []  # called with a resumed type
        self.name, self._ids, self._log = commits.run(_begin)
        self._clock, self._retention = commits.clock, RetentionClock("tasks")
        self.changes, self._changes_lock = 0, threading.Lock()
        """A counter that rises with every commit that changed tasks or pauses or resumes a type."""

    def now_us(self) -> int:
        """The database's time in microseconds since 1970, as estimated here."""
        return self._clock.now_us()

    def add(self, prepared: Sequence[Prepared]) -> tuple[list[Task], int]:
        """Add tasks in one commit; for a known idempotency key, the existing task is returned instead.

        Returns the tasks and the number of new ones. Raises KeyReused, and then none was added.
        """

        def work(connection: DriverConnection) -> tuple[list[Task], int]:
            # In PostgreSQL the time comes along with the first ids.
            ids = iter(self._ids.take(connection, len(prepared)))
            now = connection.now_us
            found: list[Task] = []
            rows: list[dict[str, Any]] = []
            for one in prepared:
                known = _known(connection, one, rows)
                if known is None:
                    rows.append(new_row(next(ids), one, now))
                    known = task_of(rows[-1])
                found.append(known)
            if rows:
                sql.INSERT.send(connection, rows)
            return found, len(rows)

        tasks, new = self._commits.run(work)
        self._notify(tasks)
        return tasks, new

    def relayed_through(self) -> int:
        """The id of the last write whose tasks are here."""
        rows = self._commits.run(lambda connection: sql.KEPT.rows(connection, {"name": _RELAYED}))
        return int(rows[0][0])

    def relay(self, made: Sequence[MadeTasks]) -> int:
        """Add the tasks that writes made, exactly once even if several processes relay them.

        ``made`` are in the order of their writes, without a gap. Returns the last write whose tasks are here.
        """

        def work(connection: DriverConnection) -> tuple[list[Task], int]:
            through = int(sql.KEPT_LOCKED.rows(connection, {"name": _RELAYED})[0][0])
            new = [task for one in made if one.write_id > through for task in one.tasks]
            if not new:
                return [], through
            ids = self._ids.take(connection, len(new))
            rows = [new_row(task_id, dict(one), connection.now_us) for task_id, one in zip(ids, new, strict=True)]
            sql.INSERT.send(connection, rows)
            sql.KEEP.send(connection, {"name": _RELAYED, "value": str(made[-1].write_id)})
            return [task_of(row) for row in rows], made[-1].write_id

        tasks, through = self._commits.run(work)
        self._notify(tasks)
        return through

    def claim_and_record(
        self,
        worker: str,
        outcomes: Sequence[tuple[Task, Outcome]],
        slots: Mapping[str, int],
        *,
        promote_due: bool = False,
    ) -> Turn:
        """Record outcomes of tasks held by ``worker``, then claim up to ``slots`` tasks of each type for it.

        An outcome is recorded only if the worker still holds that very claim. Ready tasks are claimed by priority, then
        time, then age; ``promote_due`` first makes scheduled tasks ready that are due.
        """

        def work(connection: DriverConnection) -> tuple[Turn, list[Task]]:
            recorded, lost, ready = self._record(connection, worker, outcomes) if outcomes else ([], [], [])
            due_us = None
            if promote_due:
                due, due_us = _make_due_ready(connection)
                ready += due
            claimed = []
            for task_type, free in slots.items():
                given = {"type_": task_type, "slots": free, "worker": worker, **connection.time}
                claimed += _tasks(sql.CLAIM.rows(connection, given))
            claimed.sort(key=lambda task: (-task.priority, task.run_at_us, task.id))
            begun = {task.id for task in claimed}
            left = [task for task in ready if task.id not in begun]
            return Turn(recorded, lost, claimed, due_us), left

        turn, ready = self._commits.run(work)
        self._notify([*turn.recorded, *turn.claimed, *ready])
        return turn

    def renew(self, worker: str, task_ids: Sequence[int]) -> list[Held]:
        given = {"ids": json.dumps(list(task_ids)), "worker": worker}
        rows = self._commits.run(lambda connection: sql.RENEW.rows(connection, {**given, **connection.time}))
        return [Held(row[0], row[1], bool(row[2])) for row in rows]

    def change(
        self, task_id: int, work_out: Callable[[Task, int], Task], kind: ActionKind, by: str | None
    ) -> Task | None:
        """Replace a task with ``work_out(task, now_us)`` and return it; None if it does not exist.

        The action ``kind`` and its caller ``by`` are logged with it. Raises what ``work_out`` raises, and then nothing
        was changed.
        """

        def work(connection: DriverConnection) -> list[Task]:
            changed = self._work_out(connection, {task_id: work_out})
            for task in changed[:1]:
                self._log.note(connection, kind, by, task_id, task.type)
            return changed

        changed = self._commits.run(work)
        self._notify(changed)
        return changed[0] if changed else None

    def conclude(self, work_out: Mapping[int, Callable[[Task, int], Task | None]]) -> list[Task]:
        """Replace tasks with ``work_out[id](task, now_us)`` in one commit; return the changed ones.

        None leaves a task as it is; missing tasks are skipped.
        """
        changed = self._commits.run(lambda connection: self._work_out(connection, work_out))
        self._notify(changed)
        return [task for task in changed if task.id in work_out]

    def expire(
        self, lock_seconds: float | None, decide: Callable[[Task], Outcome], alive: Sequence[int] = (), most: int = 500
    ) -> int:
        """Expire locks not renewed for ``lock_seconds`` (None: all locks); return how many.

        ``decide`` returns the outcome of each task. Tasks in ``alive`` are skipped: the caller itself runs them, and
        may only be late with a heartbeat.
        """

        def work(connection: DriverConnection) -> list[Task]:
            oldest = _FOREVER_US
            if lock_seconds is not None:
                oldest = connection.now_us - int(lock_seconds * 1_000_000)
            given = {"before": oldest, "ids": json.dumps(list(alive)), "most": most}
            return self._release(connection, sql.EXPIRED.rows(connection, given), decide)

        changed = self._commits.run(work)
        self._notify(changed)
        return len(changed)

    def give_back(self, worker: str, held: Sequence[int]) -> bool:
        """Release tasks claimed for ``worker`` but not in ``held``; return whether that was all of them.

        Such a claim committed without its answer reaching the worker; the attempt never began and does not count.
        """
        given = {"worker": worker, "ids": json.dumps(list(held)), "most": _GIVEN_BACK_AT_ONCE}

        def work(connection: DriverConnection) -> list[Task]:
            return self._release(connection, sql.FORGOTTEN.rows(connection, given), lambda _: Stopped())

        changed = self._commits.run(work)
        self._notify(changed)
        if changed:
            _log.info("a claim committed but its answer was lost: released %s", counted(len(changed), "task"))
        return len(changed) < _GIVEN_BACK_AT_ONCE

    def set_paused(self, task_type: str, *, paused: bool, by: str | None = None) -> None:
        """Pause or resume a type on behalf of ``by``; does nothing if it already is."""

        def work(connection: DriverConnection) -> bool:
            return self._log.set_paused(connection, task_type, by, paused=paused)

        if self._commits.run(work):
            self.count_change()
            for listener in [] if paused else self.on_resume:
                listener(task_type)

    def prune(self, ended_before_us: int, most: int = 1_000, *, asked: bool = False, by: str | None = None) -> int:
        """Delete up to ``most`` tasks that ended before a time, with their actions; return how many.

        If a caller ``asked`` for it, the action is logged with its name ``by``, provided that anything was deleted.
        """

        def work(connection: DriverConnection) -> int:
            pruned = self._log.prune(connection, ended_before_us, most)
            if pruned and asked:
                self._log.note(connection, ActionKind.PRUNE, by)
            return pruned

        pruned = self._commits.run(work)
        if pruned:
            self.count_change()
        return pruned

    def prune_old(self, kept_us: int, most: int = 1_000) -> int:
        """Delete up to ``most`` ended tasks older than ``kept_us`` by the retention clock; return how many."""
        key = self._retention.key

        def work(connection: DriverConnection) -> tuple[int, Reading]:
            known = [row[0] for row in sql.KEPT.rows(connection, {"name": key})]
            [(oldest_us,)] = sql.OLDEST_END.rows(connection)
            reading = self._retention.read(known[0] if known else None, connection.now_us, oldest_us)
            sql.KEEP.send(connection, {"name": key, "value": reading.kept})
            return self._log.prune(connection, reading.time_us - kept_us, most), reading

        pruned, reading = self._commits.run(work)
        self._retention.learn(reading)
        if pruned:
            self.count_change()
        return pruned

    # -- inside a transaction -------------------------------------------------------------------------------

    def _record(
        self, connection: DriverConnection, worker: str, outcomes: Sequence[tuple[Task, Outcome]]
    ) -> tuple[list[Task], list[int], list[Task]]:
        now = connection.now_us
        at_once: list[tuple[Task, Task]] = []
        if connection.is_far:
            at_once = _record_at_once(connection, worker, outcomes, now)
            saved = {task.id for task, _ in at_once}
            outcomes = [(task, outcome) for task, outcome in outcomes if task.id not in saved]
        ready = self._follow(connection, at_once)
        if not outcomes:
            return [new for _, new in at_once], [], ready
        given = {"ids": json.dumps([task.id for task, _ in outcomes]), "worker": worker}
        held = {(row[0], row[1]): row[2] for row in sql.HELD.rows(connection, given)}
        pairs, lost = [], []
        for task, outcome in outcomes:
            cancel_asked = held.get((task.id, task.claim))
            if cancel_asked is None:
                lost.append(task.id)
            else:
                before = task._replace(cancel_asked=cancel_asked)
                pairs.append((before, after(before, outcome, now)))
        ready += self._save(connection, pairs)
        return [new for _, new in at_once + pairs], lost, ready

    def _work_out(
        self, connection: DriverConnection, work_out: Mapping[int, Callable[[Task, int], Task | None]]
    ) -> list[Task]:
        found = _tasks(sql.BY_IDS.rows(connection, {"ids": json.dumps(sorted(work_out))}))
        now = connection.now_us
        pairs = [(task, new) for task in found if (new := work_out[task.id](task, now)) is not None]
        return self._replace(connection, pairs)

    def _release(
        self, connection: DriverConnection, rows: Sequence[Sequence[Any]], decide: Callable[[Task], Outcome]
    ) -> list[Task]:
        """End the claims of these tasks; return the changed tasks."""
        return self._replace(
            connection, [(task, after(task, decide(task), connection.now_us)) for task in _tasks(rows)]
        )

    def _replace(self, connection: DriverConnection, pairs: Sequence[tuple[Task, Task]]) -> list[Task]:
        """Replace old tasks with new ones; return these, and then the added tasks that follow from ends."""
        return [new for _, new in pairs] + self._save(connection, pairs)

    def _save(self, connection: DriverConnection, pairs: Sequence[tuple[Task, Task]]) -> list[Task]:
        """Replace old tasks with new ones and add the tasks that follow from ends; return the added ones."""
        if not pairs:
            return []
        saved = sql.SAVE.run(connection, [saving(before, new) for before, new in pairs])
        if saved != len(pairs):  # cannot happen while the rows are locked
            raise MoveNotAllowed(pairs[0][0].id, TaskStatus(pairs[0][0].status), TaskStatus(pairs[0][1].status))
        return self._follow(connection, pairs)

    def _follow(self, connection: DriverConnection, pairs: Sequence[tuple[Task, Task]]) -> list[Task]:
        """Add the tasks that follow from ended ones; return them."""
        ends = [new for before, new in pairs if new.status in ENDED and before.status not in ENDED]
        followers = [one for one in map(self._ended, ends) if one is not None]
        if not followers:
            return []
        ids = self._ids.take(connection, len(followers))
        rows = [new_row(task_id, one, connection.now_us) for task_id, one in zip(ids, followers, strict=True)]
        sql.INSERT.send(connection, rows)
        return [task_of(row) for row in rows]

    def _notify(self, changed: Sequence[Task]) -> None:
        if changed:
            self.count_change()
            for listener in self.on_change:
                listener(changed)

    def count_change(self) -> None:
        """Raise ``changes`` for a change made here or in another process."""
        with self._changes_lock:
            self.changes += 1


def _begin(connection: DriverConnection) -> tuple[str, Ids, ActionLog]:
    [(name,)] = sql.STORE_NAME.rows(connection)
    return name, Ids(connection, sql.tasks, "task_ids"), ActionLog(connection)


def _tasks(rows: Sequence[Sequence[Any]]) -> list[Task]:
    return [Task._make(row) for row in rows]


def _known(connection: DriverConnection, prepared: Prepared, rows: Sequence[dict[str, Any]]) -> Task | None:
    """The task that already has the key, in the database or among the rows to add."""
    key = prepared["idempotency_key"]
    if key is None:
        return None
    stored = [(Task._make(row[:-1]), row[-1]) for row in sql.BY_KEY.rows(connection, {"key": key})]
    added = [(task_of(row), row["fingerprint"]) for row in rows if row["idempotency_key"] == key]
    for task, fingerprint in stored + added:
        if fingerprint != prepared["fingerprint"]:
            raise KeyReused(key)
        return task
    return None


def _record_at_once(
    connection: DriverConnection, worker: str, outcomes: Sequence[tuple[Task, Outcome]], now: int
) -> list[tuple[Task, Task]]:
    """Record, in one statement, tasks unchanged since the worker claimed them; return before and after."""
    pairs = [(task, after(task, outcome, now)) for task, outcome in outcomes]
    rows = [saving(before, new) for before, new in pairs]
    saved = {row[0] for row in sql.SAVE_HELD.rows(connection, {"rows": encode_rows(rows), "worker": worker})}
    return [(before, new) for before, new in pairs if before.id in saved]


def _make_due_ready(connection: DriverConnection) -> tuple[list[Task], int | None]:
    due = _tasks(sql.DUE.rows(connection, {"most": _DUE_AT_ONCE, **connection.time}))
    if due:
        sql.MAKE_READY.send(connection, {"ids": json.dumps([task.id for task in due])})
    return [task._replace(ready=1) for task in due], sql.NEXT_DUE.rows(connection)[0][0]
