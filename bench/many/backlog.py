"""The interface of a measured task system: a backlog of no-op tasks shared by worker processes."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

ADDED_AT_ONCE = 1_000


class Backlog(Protocol):
    """Queued no-op tasks; each counts once when it runs (see ``bench.many.counters``)."""

    @property
    def settings(self) -> Mapping[str, str]:
        """Environment variables of the worker processes."""

    def fill(self, count: int) -> None:
        """Add tasks with the system's own bulk operation; they are on disk when this returns."""

    def commands(self, workers: int) -> Sequence[Sequence[str]]:
        """The command lines of the worker processes, each of which waits at the gate first."""

    def recorded(self) -> int:
        """The number of tasks recorded as ended, if the system keeps a record."""


OpenBacklog = Callable[[], AbstractContextManager[Backlog]]
