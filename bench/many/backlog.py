"""What the measurement of no-op tasks asks of a task system: a backlog that worker processes share."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

ADDED_AT_ONCE = 1_000


class Backlog(Protocol):
    """No-op tasks that wait; each of them counts once when it runs (see ``bench.many.counters``)."""

    @property
    def settings(self) -> Mapping[str, str]:
        """What the worker processes are told by their environment."""

    def fill(self, count: int) -> None:
        """Add tasks, in the system's own way for many at once; they are on disk when this returns."""

    def commands(self, workers: int) -> Sequence[Sequence[str]]:
        """The command lines of so many worker processes; each process waits at the gate before it begins."""

    def recorded(self) -> int:
        """How many tasks are recorded as ended, as far as the system keeps a record."""


OpenBacklog = Callable[[], AbstractContextManager[Backlog]]
