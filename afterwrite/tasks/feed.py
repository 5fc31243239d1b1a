"""Exchanges task change notifications with other processes through PostgreSQL NOTIFY."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.store_errors import StoreError
from afterwrite.tasks.runtime import TaskRuntime
from afterwrite.tasks.task import Task
from afterwrite.tasks.watching import Changed

if TYPE_CHECKING:
    from afterwrite.storage.postgres.bus import PostgresBus

_log = logging.getLogger("afterwrite.tasks")

_READY = "afterwrite_tasks"  # to workers: "ready TYPE", "due MICROSECONDS", "cancel NAME ID CLAIM"
_CHANGED = "afterwrite_changes"  # to watchers: "NAME TYPE:ID,ID;TYPE:ID", or "NAME *" for too many to list
_GATHERED_SECONDS = 0.05
_LONGEST_PAYLOAD = 7_500  # PostgreSQL's limit is 8,000 bytes


class TaskFeed:
    """The notifications of one process; any of them may be lost, so every process also polls."""

    def __init__(
        self, bus: "PostgresBus", runtime: TaskRuntime, background: BackgroundLoop, *, hears_changes: bool = True
    ) -> None:
        """``hears_changes``: this process may watch tasks that run elsewhere."""
        self._bus, self._runtime, self._background = bus, runtime, background
        self._manager, self._hears_changes = runtime.manager, hears_changes
        self._lock = threading.Lock()
        self._changed: dict[str, set[int]] = {}
        self._urgent: list[str] = []
        self._sending = False

    def start(self) -> None:
        """Subscribe to the bus, before the bus starts."""
        self._bus.on(_READY, self._hear_ready)
        if self._hears_changes:
            self._bus.on(_CHANGED, self._hear_changes)
        self._bus.on_poll(self._poll)
        self._runtime.store.on_change.append(self._gather)
        self._runtime.store.on_resume.append(lambda task_type: self._send_soon([f"ready {task_type}"]))

    # -- sending, from any thread ------------------------------------------------------------------------------

    def _gather(self, tasks: Sequence[Task]) -> None:
        urgent = []
        types_here = self._manager.types if self._manager.is_running else ()
        with self._lock:
            for task in tasks:
                self._changed.setdefault(task.type, set()).add(task.id)
                if task.ready and task.updated_at_us != task.created_at_us and task.type not in types_here:
                    urgent.append(f"ready {task.type}")
                if task.cancel_asked and task.locked_by not in (None, self._manager.name):
                    urgent.append(f"cancel {task.locked_by} {task.id} {task.claim}")
        self._send_soon(urgent)

    def _send_soon(self, urgent: Sequence[str]) -> None:
        with self._lock:
            self._urgent += urgent
            if self._sending:
                return
            self._sending = True
        self._background.submit(self._send_all())

    async def _send_all(self) -> None:
        """Send urgent messages at once, and changes after a short delay, so that many share one notification."""
        try:
            while True:
                with self._lock:
                    urgent, self._urgent = self._urgent, []
                for payload in dict.fromkeys(urgent):
                    await asyncio.to_thread(self._bus.send, _READY, payload)
                await asyncio.sleep(_GATHERED_SECONDS)
                with self._lock:
                    changed, self._changed = self._changed, {}
                    if not changed and not self._urgent:
                        self._sending = False
                        return
                if changed:
                    await asyncio.to_thread(self._bus.send, _CHANGED, self._payload(changed))
        except StoreError as error:
            _log.debug("cannot notify other processes of task changes: %s", error)
            with self._lock:
                self._sending = False

    def _payload(self, changed: dict[str, set[int]]) -> str:
        parts = [f"{task_type}:{','.join(map(str, sorted(ids)))}" for task_type, ids in changed.items()]
        text = f"{self._manager.name} {';'.join(parts)}"
        return text if len(text.encode()) <= _LONGEST_PAYLOAD else f"{self._manager.name} *"

    # -- receiving, on the loop -----------------------------------------------------------------------------

    def _hear_ready(self, payload: str) -> None:
        what, _, rest = payload.partition(" ")
        if what == "ready":
            self._manager.hear({rest})
        elif what == "due":
            self._manager.hear(due_us=int(rest))
        elif what == "cancel":
            name, task_id, claim = rest.rsplit(" ", 2)
            if name == self._manager.name:
                self._manager.hear_cancel(int(task_id), int(claim))

    def _hear_changes(self, payload: str) -> None:
        name, _, rest = payload.partition(" ")
        if name == self._manager.name:
            return
        self._runtime.store.count_change()
        if rest == "*":
            self._background.submit(self._poll_changes())
            return
        for part in rest.split(";"):
            task_type, _, ids = part.rpartition(":")
            self._runtime.queue.watchers.changed([Changed(int(task_id), task_type) for task_id in ids.split(",")])

    async def _poll(self) -> None:
        self._manager.poll()
        await self._poll_changes()

    async def _poll_changes(self) -> None:
        if self._hears_changes:
            await asyncio.to_thread(self._runtime.queue.poll_changes)
