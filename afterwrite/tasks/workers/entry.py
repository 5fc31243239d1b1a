"""The entry worker: a staged task from CREATED through STAGE_1 and STAGE_2 to COMPLETED."""

import itertools
from datetime import UTC, datetime
from typing import Any

from afterwrite.tasks.task import Task
from afterwrite.tasks.worker import BaseWorker, TaskContext, TaskFailed, next_stage

ENTRY = "entry"
COMPLETED = "COMPLETED"
# The stages in order, each with the progress of an entry that has reached it.
PROGRESS = {"CREATED": 0, "STAGE_1": 33, "STAGE_2": 66, COMPLETED: 100}

_FOLLOWING = dict(itertools.pairwise(PROGRESS))


class EntryWorker(BaseWorker):
    """Works ``stage_seconds`` on each stage of an entry; each stage is a separate claim.

    The result grows with the entry: ``{"title", "completedAt", "stages": [{"stage", "reachedAt", "worker"}]}``;
    ``completedAt`` (ISO 8601, UTC) is null until the end.
    """

    types = {
        ENTRY: {
            "type": "object",
            "required": ["title"],
            "properties": {"title": {"type": "string", "minLength": 1, "maxLength": 300, "pattern": r"\S"}},
            "additionalProperties": False,
        }
    }
    concurrency = 64  # an entry only waits: no thread, almost no CPU

    def __init__(self, stage_seconds: float) -> None:
        if not 0 <= stage_seconds < float("inf"):
            raise ValueError(f"stage_seconds is {stage_seconds}: give the seconds of a stage, 0 or more")
        self._stage_seconds = stage_seconds

    def first_stage(self, task_type: str) -> str:
        return "CREATED"

    async def execute_task(self, task: Task, context: TaskContext) -> Any:
        """Advance the entry by one stage. Raises TaskFailed if its stage is unknown."""
        if task.stage == COMPLETED:  # the worker died between its last report and the end: the work is done
            return result_of(task, COMPLETED, datetime.now(UTC))
        following = _FOLLOWING.get(task.stage or "")
        if following is None:
            raise TaskFailed(
                "UNKNOWN_STAGE",
                f"The entry is at stage {task.stage}: known are {', '.join(PROGRESS)}; create a new one",
                final=True,
            )
        await context.sleep(self._stage_seconds)
        if following == COMPLETED:
            await context.progress(PROGRESS[COMPLETED], COMPLETED)
            return result_of(task, COMPLETED, datetime.now(UTC))
        return next_stage(following, PROGRESS[following], result_of(task, following, datetime.now(UTC)))


def result_of(task: Task, reached: str, now: datetime) -> dict[str, Any]:
    """The result of an entry that has just reached a stage: that of the stage before, and this one."""
    before = task.result["stages"] if task.result else []
    return {
        "title": task.payload["title"],
        "completedAt": now.isoformat() if reached == COMPLETED else None,
        "stages": [*before, {"stage": reached, "reachedAt": now.isoformat(), "worker": task.locked_by}],
    }
