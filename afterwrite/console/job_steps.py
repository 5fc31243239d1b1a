"""The steps on the page of a job, and those of a job that one of our workers runs."""

from datetime import datetime
from typing import NamedTuple

from afterwrite.tasks.task import Task, TaskStatus
from afterwrite.tasks.workers.process_products import COMPLETED, PROGRESS

REACHED, FAILED, STOPPED, NEXT, AHEAD = "reached", "bad", "stopped", "next", ""


class Step(NamedTuple):
    """A step: its look, a note, and when it was reached."""

    name: str
    look: str
    note: str = ""
    at: datetime | int | None = None


def worker_steps(task: Task) -> list[Step]:
    """The stages of a worker in order, up to the current one marked as reached."""
    stages = [*PROGRESS, COMPLETED]
    at = stages.index(task.stage) if task.stage in stages else 0
    if task.status == TaskStatus.COMPLETED:
        at = len(stages) - 1
    look = f"{REACHED} {FAILED}" if task.status == TaskStatus.FAILED else REACHED
    return [Step(stage, look if number <= at else AHEAD) for number, stage in enumerate(stages)]
