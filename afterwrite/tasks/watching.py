"""Lets callers watch tasks change."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

from afterwrite.tasks.task import Task

_MOST_WAITING = 50_000
_READ_AT_ONCE = 500
_TOLD_REMEMBERED = 200


class WatchTooSlow(Exception):
    """More changes wait than are kept for one who watches: some can no longer be told."""


class Identified(Protocol):
    """A task of which that much is known."""

    @property
    def id(self) -> int:
        """Its id."""

    @property
    def type(self) -> str:
        """Its type."""


class Watchers:
    """Who watches which tasks."""

    def __init__(self, read: Callable[[Sequence[int]], list[Task]]) -> None:
        """``read`` gives tasks as they are now."""
        self._read = read
        self._watches: list[TaskWatch] = []
        self._lock = threading.Lock()
        self._stopping = False

    def watch(self, task_id: int | None, task_type: str | None) -> "TaskWatch":
        """Watch one task, the tasks of a type, or all, from now on."""
        watch = TaskWatch(self, self._read, task_id, task_type)
        with self._lock:
            self._watches.append(watch)
            if self._stopping:
                watch.wake()
        return watch

    def changed(self, tasks: Sequence[Identified]) -> None:
        """Tell those who watch one of these tasks."""
        if self._watches:
            with self._lock:
                for watch in self._watches:
                    watch.changed(tasks)

    @property
    def watch_something(self) -> bool:
        """Whether there is anybody."""
        return bool(self._watches)

    def stop(self) -> None:
        """Let nobody wait any more."""
        with self._lock:
            self._stopping = True
            for watch in self._watches:
                watch.wake()

    def take(self, watch: "TaskWatch") -> list[int]:
        """The oldest ids that a watch has not told yet."""
        with self._lock:
            return watch.take()

    def leave(self, watch: "TaskWatch") -> None:
        """Forget a watch; may be called twice."""
        with self._lock:
            if watch in self._watches:
                self._watches.remove(watch)


class TaskWatch:
    """The changes of some tasks, from the moment it was made; for one thread."""

    def __init__(
        self,
        watchers: Watchers,
        read: Callable[[Sequence[int]], list[Task]],
        task_id: int | None,
        task_type: str | None,
    ) -> None:
        self._watchers, self._read = watchers, read
        self._task_id, self._task_type = task_id, task_type
        self._changed: set[int] = set()
        self._told: OrderedDict[int, Task] = OrderedDict()
        self._event = threading.Event()
        self._stopping = self._is_too_slow = False

    def next(self, timeout_seconds: float) -> list[Task]:
        """Wait for changes and return the tasks that changed, as they are now, oldest first.

        States in between may be left out. [] when the time is over first, or when the server stops. Raises
        WatchTooSlow when more changes came than one can wait for.
        """
        deadline = time.monotonic() + timeout_seconds
        while self._event.wait(max(0.0, deadline - time.monotonic())):
            changed = self._watchers.take(self)
            news = [task for task in self._read(changed) if self._is_news(task)] if changed else []
            if news or self._stopping:
                return news
        return []

    def _is_news(self, task: Task) -> bool:
        """Whether this state was not told yet: of one change may be heard more than once."""
        if self._told.get(task.id) == task:
            return False
        self._told[task.id] = task
        self._told.move_to_end(task.id)
        while len(self._told) > _TOLD_REMEMBERED:
            self._told.popitem(last=False)
        return True

    def close(self) -> None:
        """Watch no longer; may be called twice."""
        self._watchers.leave(self)

    def changed(self, tasks: Sequence[Identified]) -> None:
        """Take note of those of the tasks that are watched; called under the lock of the watchers."""
        for task in tasks:
            if self._task_id in (None, task.id) and self._task_type in (None, task.type):
                self._changed.add(task.id)
                self._event.set()
        if len(self._changed) > _MOST_WAITING:
            self._is_too_slow = True
            self._changed.clear()

    def take(self) -> list[int]:
        """Give some of what has changed, oldest first; called under the lock of the watchers."""
        if self._is_too_slow:
            raise WatchTooSlow
        taken = sorted(self._changed)[:_READ_AT_ONCE]
        self._changed.difference_update(taken)
        if not self._changed and not self._stopping:
            self._event.clear()
        return taken

    def wake(self) -> None:
        """Let ``next`` return at once from now on."""
        self._stopping = True
        self._event.set()
