"""The action log: records what callers do to tasks and types, in the same transaction."""

import json

from afterwrite.storage.driver import DriverConnection
from afterwrite.storage.ids import Ids
from afterwrite.tasks import statements as sql
from afterwrite.tasks.actions import ActionKind, TaskAction


class ActionLog:
    """The actions of one store; call every method inside a transaction, one thread at a time."""

    def __init__(self, connection: DriverConnection) -> None:
        self._ids = Ids(connection, sql.actions, "task_action_ids")

    def note(
        self,
        connection: DriverConnection,
        kind: ActionKind,
        by: str | None,
        now: int,
        task_id: int | None = None,
        task_type: str | None = None,
    ) -> None:
        """Record an action; ``now`` is in microseconds since 1970."""
        [action_id] = self._ids.take(connection, 1)
        action = TaskAction(action_id, task_id, task_type, kind.value, by, now)
        sql.ADD_ACTION.send(connection, action._asdict())

    def set_paused(
        self, connection: DriverConnection, task_type: str, by: str | None, now: int, *, paused: bool
    ) -> bool:
        """Pause or resume a type; return whether that changed anything."""
        if paused:
            changed = sql.PAUSE.run(connection, {"type": task_type, "paused_by": by, "paused_at_us": now})
        else:
            changed = sql.RESUME.run(connection, {"type": task_type})
        if not changed:
            return False
        self.note(connection, ActionKind.PAUSE if paused else ActionKind.RESUME, by, now, None, task_type)
        return True

    @staticmethod
    def prune(connection: DriverConnection, ended_before_us: int, most: int) -> int:
        """Delete tasks that ended before a time, with their actions; return how many."""
        pruned = [row[0] for row in sql.PRUNE.rows(connection, {"before": ended_before_us, "most": most})]
        if pruned:
            sql.DROP_ACTIONS.send(connection, {"ids": json.dumps(pruned)})
        return len(pruned)
