"""Lets callers watch tasks change."""

import threading
from collections.abc import Callable, Sequence

from tasks.task import Task

_MOST_CHANGES = 10_000  # that wait to be looked at by one watcher; more of them are not told


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

    def changed(self, tasks: Sequence[Task]) -> None:
        """Tell those who watch one of these tasks."""
        if self._watches:
            with self._lock:
                for watch in self._watches:
                    watch.changed(tasks)

    def stop(self) -> None:
        """Let nobody wait any more."""
        with self._lock:
            self._stopping = True
            for watch in self._watches:
                watch.wake()

    def take(self, watch: "TaskWatch") -> set[int]:
        """The ids that a watch has not told yet."""
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
        self._event = threading.Event()
        self._stopping = False

    def next(self, timeout_seconds: float) -> list[Task]:
        """Wait for changes and return the tasks that changed, as they are now, oldest first.

        States in between may be left out. [] when the time is over first, or when the server stops.
        """
        if not self._stopping:
            self._event.wait(timeout_seconds)
            self._event.clear()
        changed = self._watchers.take(self)
        return self._read(sorted(changed)) if changed else []

    def close(self) -> None:
        """Watch no longer; may be called twice."""
        self._watchers.leave(self)

    def changed(self, tasks: Sequence[Task]) -> None:
        """Take note of those of the tasks that are watched; called under the lock of the watchers."""
        for task in tasks:
            if self._task_id in (None, task.id) and self._task_type in (None, task.type):
                if len(self._changed) < _MOST_CHANGES:
                    self._changed.add(task.id)
                self._event.set()

    def take(self) -> set[int]:
        """Give what has changed and begin anew; called under the lock of the watchers."""
        changed, self._changed = self._changed, set()
        return changed

    def wake(self) -> None:
        """Let ``next`` return at once from now on."""
        self._stopping = True
        self._event.set()
