"""The relay of the outbox: brings the tasks that applied writes made into the task queue, each exactly once.

They are stored with the record and the ledger row. The task database keeps the id of the last write whose tasks it has
in the transaction that adds them, so a relay that is killed, or two at once, lose and double nothing.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from afterwrite.base.store_errors import StoreError
from afterwrite.base.times import to_microseconds
from afterwrite.resources.resource import FollowUp
from afterwrite.resources.write import Operation, Write
from afterwrite.storage.write_store import WriteStore
from afterwrite.tasks.registry import Refusal, TaskRefused
from afterwrite.tasks.runtime import TaskRuntime
from afterwrite.tasks.statements import Prepared
from afterwrite.tasks.task import NewTask

_log = logging.getLogger("afterwrite.outbox")
_WRITES_AT_ONCE = 50
_POLL_SECONDS = 1.0
_WITHOUT_TASKS = frozenset(Operation)


class OutboxRelay:
    """Relays the outbox of one database; ``run`` until it is cancelled."""

    def __init__(self, writes: WriteStore, tasks: TaskRuntime, *, alone: bool) -> None:
        """``alone``: no other process makes tasks here, so nothing need be polled."""
        self._writes, self._tasks, self._alone = writes, tasks, alone
        self._through: int | None = None  # None: unknown, ask the task database
        self._wake = asyncio.Event()
        self._trouble = ""
        writes.settling.prepare = self._prepare

    def note_settled(self, writes: Sequence[Write]) -> None:
        """Look into the outbox if one of the writes may have made tasks; called on the background loop."""
        if any(write.operation not in _WITHOUT_TASKS for write in writes):
            self._wake.set()

    async def run(self) -> None:
        """Relay what is there, then what comes."""
        while True:
            self._wake.clear()
            try:
                while await asyncio.to_thread(self._relay_some):
                    pass
                self._trouble = ""
            except Exception as error:  # noqa: BLE001 - the one place that handles failures of the loop
                if str(error) != self._trouble:  # the outbox keeps what it has
                    unexpected = None if isinstance(error, StoreError) else error
                    _log.error("the tasks of applied writes wait in the outbox: %s", error, exc_info=unexpected)
                self._trouble, self._through = str(error), None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self._alone and not self._trouble else _POLL_SECONDS):
                    await self._wake.wait()

    def _relay_some(self) -> bool:
        """Relay the tasks of some writes; return whether there may be more."""
        if self._through is None:
            self._through = self._tasks.store.relayed_through()
        made = self._writes.ledger.made_tasks(self._through, _WRITES_AT_ONCE)
        if made:
            self._through = self._tasks.store.relay(made)
            self._writes.relayed(self._through)
        return len(made) == _WRITES_AT_ONCE

    def _prepare(self, follow_up: FollowUp, write: Write) -> Prepared:
        """The task as the queue stores it. Raises TaskRefused."""
        if follow_up.run_at is not None and follow_up.run_at.tzinfo is None:
            raise TaskRefused(Refusal.INVALID_ARGUMENT, f"run_at is {follow_up.run_at}: give it a time zone", "runAt")
        return self._tasks.registry.prepare(
            NewTask(
                follow_up.type,
                follow_up.payload,
                follow_up.priority,
                None if follow_up.run_at is None else to_microseconds(follow_up.run_at),
                correlation_id=f"write {write.id}",
                callback_url=follow_up.callback_url,
                created_by=write.accepted_by,
            )
        )
