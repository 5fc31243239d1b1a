"""Says what callers do to tasks once they are accepted."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from afterwrite.base.times import from_microseconds


class ActionKind(StrEnum):
    """What was done: to a task, to a type (PAUSE, RESUME), or to what ended before a time (PRUNE)."""

    CANCEL = "CANCEL"
    RETRY = "RETRY"
    EDIT = "EDIT"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    PRUNE = "PRUNE"


class TaskAction(NamedTuple):
    """What a caller did; its fields are the columns. ``by`` is the caller's name, None of one who gave none.

    ``task_id`` None: it was done to a type; ``type`` None too: to tasks of every type.
    """

    id: int
    task_id: int | None
    type: str | None
    action: str
    by: str | None
    at_us: int

    @property
    def at(self) -> datetime:
        """When it was done."""
        return from_microseconds(self.at_us)


class Pause(NamedTuple):
    """A type that is paused; by whom and when is not known of one that was paused by an older version."""

    type: str
    by: str | None
    at_us: int | None

    @property
    def at(self) -> datetime | None:
        """When it was paused."""
        return None if self.at_us is None else from_microseconds(self.at_us)
