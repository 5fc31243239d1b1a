"""Background maintenance of tasks: heartbeats, expiry of locks, retention."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from afterwrite.tasks.execution import worker_lost
from afterwrite.tasks.registry import Registry
from afterwrite.tasks.running import Running
from afterwrite.tasks.store import TaskStore
from afterwrite.tasks.task import Outcome, Task

_HEARTBEATS_PER_LOCK = 6
_POLLS_PER_LOCK = 8
_POLL_SECONDS = 5.0
_PRUNE_SECONDS = 60.0
_PRUNED_AT_ONCE = 1_000
_PRUNE_PAUSE_SECONDS = 0.1

Try = Callable[..., Awaitable[Any]]


class Upkeep:
    """The maintenance coroutines of one manager; ``tried`` calls the store and returns None on failure."""

    def __init__(
        self, store: TaskStore, registry: Registry, running: Running, tried: Try, worker: str, lock_seconds: float
    ) -> None:
        self._store, self._registry, self._running = store, registry, running
        self._tried, self._worker, self._lock_seconds = tried, worker, lock_seconds

    async def heartbeats(self) -> None:
        """Renew the locks of running tasks; stop runs that lost theirs or were cancelled."""
        while True:
            await asyncio.sleep(self._lock_seconds / _HEARTBEATS_PER_LOCK)
            runs = list(self._running.runs.values())
            if runs:
                held = await self._tried(self._store.renew, self._worker, [run.task.id for run in runs])
                if held is not None:
                    self._running.renewed(runs, held)

    async def polls(self, poll: Callable[[], None]) -> None:
        """Expire locks without heartbeats, then call ``poll`` to poll for tasks."""
        every = min(_POLL_SECONDS, self._lock_seconds / _POLLS_PER_LOCK)
        while True:
            await asyncio.sleep(every * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            # This process's own tasks are alive, however late their heartbeats are: it was suspended, or the clock was
            # set.
            alive = list(self._running.runs)
            await self._tried(self._store.expire, self._lock_seconds, self.lost, alive)
            poll()

    async def retention(self, retention_seconds: float) -> None:
        """Delete tasks that ended longer ago than that, in batches."""
        while True:
            kept_us = int(retention_seconds * 1_000_000)
            pruned = await self._tried(self._store.prune_old, kept_us, _PRUNED_AT_ONCE)
            await asyncio.sleep(_PRUNE_PAUSE_SECONDS if pruned == _PRUNED_AT_ONCE else _PRUNE_SECONDS)

    def lost(self, task: Task) -> Outcome:
        """The outcome of a task whose lock expired."""
        return worker_lost(task, self._registry.policy(task.type))
