"""The actions that callers take on accepted tasks, and the log that records them in the same transaction."""

import json
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from afterwrite.base.times import from_microseconds
from afterwrite.storage.driver import DriverConnection
from afterwrite.storage.ids import Ids
from afterwrite.tasks import statements as sql


class ActionKind(StrEnum):
    """An action: on a task, on a type (PAUSE, RESUME), or on tasks that ended before a time (PRUNE)."""

    CANCEL = "CANCEL"
    RETRY = "RETRY"
    EDIT = "EDIT"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    PRUNE = "PRUNE"


class TaskAction(NamedTuple):
    """A logged action; its fields are the columns. ``by`` is the caller's name, None if anonymous.

    ``task_id`` None: it applies to a type; ``type`` None too: to tasks of every type.
    """

    id: int
    task_id: int | None
    type: str | None
    action: str
    by: str | None
    at_us: int

    @property
    def at(self) -> datetime:
        return from_microseconds(self.at_us)


class Pause(NamedTuple):
    """A paused type; ``by`` and ``at_us`` are None if an older version paused it."""

    type: str
    by: str | None
    at_us: int | None

    @property
    def at(self) -> datetime | None:
        return None if self.at_us is None else from_microseconds(self.at_us)


class ActionLog:
    """The actions of one store; call every method inside a transaction, one thread at a time."""

    def __init__(self, connection: DriverConnection) -> None:
        self._ids = Ids(connection, sql.actions, "task_action_ids")

    def note(
        self,
        connection: DriverConnection,
        kind: ActionKind,
        by: str | None,
        task_id: int | None = None,
        task_type: str | None = None,
    ) -> None:
        """Record an action."""
        [action_id] = self._ids.take(connection, 1)
        action = TaskAction(action_id, task_id, task_type, kind.value, by, connection.now_us)
        sql.ADD_ACTION.send(connection, action._asdict())

    def set_paused(self, connection: DriverConnection, task_type: str, by: str | None, *, paused: bool) -> bool:
        """Pause or resume a type; return whether that changed anything."""
        if paused:
            changed = sql.PAUSE.run(connection, {"type": task_type, "paused_by": by, "paused_at_us": connection.now_us})
        else:
            changed = sql.RESUME.run(connection, {"type": task_type})
        if not changed:
            return False
        self.note(connection, ActionKind.PAUSE if paused else ActionKind.RESUME, by, None, task_type)
        return True

    @staticmethod
    def prune(connection: DriverConnection, ended_before_us: int, most: int) -> int:
        """Delete tasks that ended before a time, with their actions; return how many."""
        pruned = [row[0] for row in sql.PRUNE.rows(connection, {"before": ended_before_us, "most": most})]
        if pruned:
            sql.DROP_ACTIONS.send(connection, {"ids": json.dumps(pruned)})
        return len(pruned)
