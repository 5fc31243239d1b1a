"""The actions that callers take on accepted tasks."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from afterwrite.base.times import from_microseconds


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
