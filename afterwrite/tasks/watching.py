"""Subscriptions to task changes."""

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from afterwrite.base.background import Signal
from afterwrite.tasks.task import Task

_MOST_WAITING = 50_000
_READ_AT_ONCE = 500
_SENT_REMEMBERED = 200


class WatchTooSlow(Exception):
    """A watcher fell too far behind: some changes were dropped."""


class Changed(NamedTuple):
    """A changed task whose new state is unknown."""

    id: int
    type: str


class Watchers:
    """The active subscriptions of this process."""

    def __init__(self, read: Callable[[Sequence[int]], list[Task]]) -> None:
        """``read`` returns the current state of tasks."""
        self._read = read
        self._watches: dict[TaskWatch, None] = {}  # in their order
        self.lock = threading.Lock()
        self._stopping = False

    def watch(self, task_id: int | None, task_type: str | None) -> "TaskWatch":
        """Watch one task, the tasks of a type, or all tasks, from now on."""
        watch = TaskWatch(self, self._read, task_id, task_type)
        with self.lock:
            self._watches[watch] = None
            if self._stopping:
                watch.wake()
        return watch

    def changed(self, tasks: Sequence[Task | Changed]) -> None:
        """Notify the watches that match these tasks."""
        if self._watches:
            with self.lock:
                for watch in self._watches:
                    watch.changed(tasks)

    @property
    def watch_something(self) -> bool:
        return bool(self._watches)

    def stop(self) -> None:
        """Wake every watch, now and from now on."""
        with self.lock:
            self._stopping = True
            for watch in self._watches:
                watch.wake()

    def leave(self, watch: "TaskWatch") -> None:
        """Remove a watch; may be called twice."""
        with self.lock:
            self._watches.pop(watch, None)


class TaskWatch:
    """A subscription to the changes of some tasks; for one thread or coroutine."""

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
        self._sent: OrderedDict[int, Task] = OrderedDict()
        self._event = threading.Event()
        self._signal: Signal | None = None
        self._stopping = self._is_too_slow = False

    def next(self, timeout_seconds: float) -> list[Task]:
        """Wait for changes; return the current state of the changed tasks, oldest first.

        Intermediate states may be skipped. Returns [] on timeout or when the server stops. Raises WatchTooSlow when
        more changes are pending than a watch may buffer.
        """
        deadline = time.monotonic() + timeout_seconds
        while self._event.wait(max(0.0, deadline - time.monotonic())):
            changed = self._take()
            news = [task for task in self._read(changed) if self._is_news(task)] if changed else []
            if news or self._stopping:
                return news
        return []

    async def changes(self, timeout_seconds: float) -> list[Task]:
        """As ``next``, on the loop."""
        if self._signal is None:
            with self._watchers.lock:
                self._signal = Signal()
        if self._event.is_set() or await self._signal.wait(timeout_seconds):
            return await asyncio.to_thread(self.next, 0)
        return []

    def _is_news(self, task: Task) -> bool:
        """Whether this state was not sent yet; one change may be signalled twice."""
        if self._sent.get(task.id) == task:
            return False
        self._sent[task.id] = task
        self._sent.move_to_end(task.id)
        while len(self._sent) > _SENT_REMEMBERED:
            self._sent.popitem(last=False)
        return True

    def close(self) -> None:
        """Stop watching; may be called twice."""
        self._watchers.leave(self)

    def changed(self, tasks: Sequence[Task | Changed]) -> None:
        """Note the watched ones among changed tasks; called under the lock of the watchers."""
        for task in tasks:
            if self._task_id in (None, task.id) and self._task_type in (None, task.type):
                self._changed.add(task.id)
                self._tell()
        if len(self._changed) > _MOST_WAITING:
            self._is_too_slow = True
            self._changed.clear()

    def _take(self) -> list[int]:
        """Take some of the changed ids, oldest first."""
        with self._watchers.lock:
            if self._is_too_slow:
                raise WatchTooSlow
            taken = sorted(self._changed)[:_READ_AT_ONCE]
            self._changed.difference_update(taken)
            if not self._changed and not self._stopping:
                self._event.clear()
            return taken

    def wake(self) -> None:
        """Make ``next`` return at once from now on."""
        self._stopping = True
        self._tell()

    def _tell(self) -> None:
        self._event.set()
        if self._signal is not None:
            self._signal.set()
