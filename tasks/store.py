"""Keeps tasks on disk: added, claimed, recorded and moved, each in one short transaction."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from database.commits import Commits
from tasks import statements as sql
from tasks.task import ENDED, MoveNotAllowed, NewTask, Outcome, Task, TaskStatus, after
from time_ordered import next_id


class KeyReused(Exception):
    """An idempotency key came again with another request."""


class Prepared(NamedTuple):
    """A task that may be accepted: what its creator asked for, and what its type adds."""

    new: NewTask
    payload_json: str
    max_attempts: int
    stage: str | None
    search_text: str
    fingerprint: str


class Held(NamedTuple):
    """A lock that still holds, and whether its task is to be cancelled."""

    id: int
    claim: int
    cancel_asked: bool


class Turn(NamedTuple):
    """What came of one turn: tasks as they were recorded, ids of those whose lock was lost, tasks claimed."""

    recorded: list[Task]
    lost: list[int]
    claimed: list[Task]


class TaskStore:
    """The tasks of one database. Every method may be called from any thread.

    ``ended`` is asked for a task to add whenever one ends, in the same transaction. ``on_change`` is called after
    each commit, in the thread that asked for it, with the tasks that it changed; it must not block.
    Raises StoreError where the database cannot be used, and then nothing was changed.
    """

    def __init__(self, commits: Commits, ended: Callable[[Task], Prepared | None]) -> None:
        self._commits, self._ended = commits, ended
        self.on_change: list[Callable[[Sequence[Task]], None]] = []
        self.name, self._last_id = commits.run(_name_and_last_id)

    def add(self, prepared: Sequence[Prepared]) -> list[Task]:
        """Add tasks in one commit and return them; one whose idempotency key is known is returned as it is now.

        Raises KeyReused, and then none was added.
        """
        added = self._commits.run(lambda connection: self._add(connection, prepared))
        self._tell(added)
        return added

    def claim_and_record(
        self, worker: str, outcomes: Sequence[tuple[Task, Outcome]], slots: Mapping[str, int]
    ) -> Turn:
        """Record outcomes of tasks that ``worker`` holds, then claim for it up to ``slots`` tasks of each type.

        An outcome is recorded only if the worker still holds the very claim of the given task. Claimed are tasks
        whose time has come, by priority, then time, then age.
        """
        turn, added = self._commits.run(lambda connection: self._turn(connection, worker, outcomes, slots))
        self._tell([*turn.recorded, *turn.claimed, *added])
        return turn

    def renew(self, worker: str, task_ids: Sequence[int]) -> list[Held]:
        """Renew the locks that ``worker`` still holds on these tasks, and return them."""
        given = {"ids": list(task_ids), "worker": worker}
        rows = self._commits.run(
            lambda connection: connection.execute(sql.RENEW, {**given, "now": self._now()}).all()
        )
        return [Held(row[0], row[1], bool(row[2])) for row in rows]

    def change(self, task_id: int, work_out: Callable[[Task, int], Task]) -> Task | None:
        """Put ``work_out(task, now_us)`` in the place of a task and return it; None if there is no such task.

        Raises what ``work_out`` raises, and then nothing was changed.
        """
        changed = self._commits.run(lambda connection: self._change(connection, task_id, work_out))
        self._tell(changed)
        return changed[0] if changed else None

    def expire(self, lock_seconds: float, decide: Callable[[Task], Outcome], most: int = 500) -> int:
        """Take locks away that were not renewed for ``lock_seconds``; ``decide`` says what becomes of each task.

        Returns how many.
        """
        changed = self._commits.run(lambda connection: self._expire(connection, lock_seconds, decide, most))
        self._tell(changed)
        return len(changed)

    def make_due_ready(self, most: int = 1_000) -> tuple[int, int | None]:
        """Let tasks be claimed whose time has come; how many, and when the next one's comes (microseconds)."""
        ready, due_us = self._commits.run(lambda connection: self._make_due_ready(connection, most))
        self._tell(ready)
        return len(ready), due_us

    def set_paused(self, task_type: str, *, paused: bool) -> None:
        """Remember that no task of a type is to be claimed, or that they may be again."""

        def work(connection: Connection) -> None:
            connection.execute(delete(sql.paused_types).where(sql.paused_types.c.type == task_type))
            if paused:
                connection.execute(insert(sql.paused_types).values(type=task_type))

        self._commits.run(work)

    def prune(self, ended_before_us: int, most: int = 1_000) -> int:
        """Delete up to ``most`` tasks that ended before a time; returns how many."""
        given = {"before": ended_before_us, "most": most}
        return self._commits.run(lambda connection: connection.execute(sql.PRUNE, given).rowcount)

    # -- inside a transaction -------------------------------------------------------------------------------

    def _add(self, connection: Connection, prepared: Sequence[Prepared]) -> list[Task]:
        now = self._now()
        found: list[Task] = []
        rows: list[dict[str, Any]] = []
        for one in prepared:
            known = self._known(connection, one, rows)
            if known is None:
                rows.append(self._new_row(one, now))
                known = _task_of(rows[-1])
            found.append(known)
        if rows:
            connection.execute(sql.INSERT, rows)
        return found

    @staticmethod
    def _known(connection: Connection, prepared: Prepared, rows: Sequence[dict[str, Any]]) -> Task | None:
        """The task that has the key already: in the database, or among the rows that are to be added."""
        key = prepared.new.idempotency_key
        if key is None:
            return None
        row = connection.execute(sql.BY_KEY, {"key": key}).mappings().first()
        found = dict(row) if row else next((new for new in rows if new["idempotency_key"] == key), None)
        if found is None:
            return None
        if found["fingerprint"] != prepared.fingerprint:
            raise KeyReused(key)
        return _task_of(found)

    def _new_row(self, prepared: Prepared, now: int) -> dict[str, Any]:
        new = prepared.new
        self._last_id = next_id(self._last_id, now)
        run_at = now if new.run_at_us is None else new.run_at_us
        return dict.fromkeys(Task._fields) | {
            "id": self._last_id,
            "type": new.type,
            "status": TaskStatus.PENDING.value,
            "progress": 0,
            "stage": prepared.stage,
            "payload_json": prepared.payload_json,
            "error_is_final": 0,
            "attempt": 0,
            "max_attempts": prepared.max_attempts,
            "priority": new.priority,
            "run_at_us": run_at,
            "ready": int(run_at <= now),
            "cancel_asked": 0,
            "correlation_id": new.correlation_id,
            "callback_url": new.callback_url,
            "idempotency_key": new.idempotency_key,
            "renewals": 0,
            "claim": 0,
            "created_at_us": now,
            "updated_at_us": now,
            "search_text": prepared.search_text,
            "fingerprint": prepared.fingerprint if new.idempotency_key else None,
        }

    def _turn(
        self,
        connection: Connection,
        worker: str,
        outcomes: Sequence[tuple[Task, Outcome]],
        slots: Mapping[str, int],
    ) -> tuple[Turn, list[Task]]:
        now = self._now()
        recorded, lost, added = self._record(connection, worker, outcomes, now) if outcomes else ([], [], [])
        claimed = []
        for task_type, free in slots.items():
            given = {"type_": task_type, "slots": free, "worker": worker, "now": now}
            claimed += [Task._make(row) for row in connection.execute(sql.CLAIM, given)]
        claimed.sort(key=lambda task: (-task.priority, task.run_at_us, task.id))
        return Turn(recorded, lost, claimed), added

    def _record(
        self, connection: Connection, worker: str, outcomes: Sequence[tuple[Task, Outcome]], now: int
    ) -> tuple[list[Task], list[int], list[Task]]:
        rows = connection.execute(sql.HELD, {"ids": [task.id for task, _ in outcomes], "worker": worker})
        held = {(row[0], row[1]): row[2] for row in rows}
        pairs, lost = [], []
        for task, outcome in outcomes:
            cancel_asked = held.get((task.id, task.claim))
            if cancel_asked is None:
                lost.append(task.id)
            else:
                before = task._replace(cancel_asked=cancel_asked)
                pairs.append((before, after(before, outcome, now)))
        return [new for _, new in pairs], lost, self._save(connection, pairs, now)

    def _change(
        self, connection: Connection, task_id: int, work_out: Callable[[Task, int], Task]
    ) -> list[Task]:
        row = connection.execute(sql.BY_ID, {"id": task_id}).first()
        if row is None:
            return []
        now, before = self._now(), Task._make(row)
        changed = work_out(before, now)
        return [changed, *self._save(connection, [(before, changed)], now)]

    def _expire(
        self, connection: Connection, lock_seconds: float, decide: Callable[[Task], Outcome], most: int
    ) -> list[Task]:
        now = self._now()
        given = {"before": now - int(lock_seconds * 1_000_000), "most": most}
        before = [Task._make(row) for row in connection.execute(sql.EXPIRED, given)]
        pairs = [(task, after(task, decide(task), now)) for task in before]
        return [new for _, new in pairs] + self._save(connection, pairs, now)

    def _make_due_ready(self, connection: Connection, most: int) -> tuple[list[Task], int | None]:
        given = {"now": self._now(), "most": most}
        due = [Task._make(row) for row in connection.execute(sql.DUE, given)]
        if due:
            connection.execute(sql.MAKE_READY, [{"of_id": task.id} for task in due])
        return [task._replace(ready=1) for task in due], connection.execute(sql.NEXT_DUE).scalar()

    def _save(self, connection: Connection, pairs: Sequence[tuple[Task, Task]], now: int) -> list[Task]:
        """Put new tasks in the place of old ones, and add what follows from those that end; returns these."""
        if not pairs:
            return []
        values = [_saving(before, new) for before, new in pairs]
        saved = connection.execute(sql.SAVE, values).rowcount
        if saved != len(pairs):  # the rows are locked since they were read
            raise MoveNotAllowed(
                pairs[0][0].id, TaskStatus(pairs[0][0].status), TaskStatus(pairs[0][1].status)
            )
        followers = [
            self._ended(new) for before, new in pairs if new.status in ENDED and before.status not in ENDED
        ]
        rows = [self._new_row(one, now) for one in followers if one is not None]
        if rows:
            connection.execute(sql.INSERT, rows)
        return [_task_of(row) for row in rows]

    def _tell(self, changed: Sequence[Task]) -> None:
        if changed:
            for listener in self.on_change:
                listener(changed)

    @staticmethod
    def _now() -> int:
        return time.time_ns() // 1000


def _task_of(row: Mapping[str, Any]) -> Task:
    return Task(*(row[name] for name in Task._fields))


def _saving(before: Task, new: Task) -> dict[str, Any]:
    values = {f"new_{name}": getattr(new, name) for name in sql.CHANGED}
    return values | {"of_id": before.id, "of_claim": before.claim, "of_status": before.status}


def _name_and_last_id(connection: Connection) -> tuple[str, int]:
    name = connection.execute(select(sql.meta.c.value).where(sql.meta.c.name == "store")).scalar_one()
    return name, connection.execute(select(func.max(sql.tasks.c.id))).scalar() or 0
