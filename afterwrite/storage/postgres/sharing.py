"""Coordination of the processes on one database: heartbeats, notifications, cleanup."""

import asyncio
import json
import logging

from sqlalchemy import Connection, Engine, text

from afterwrite.base.store_errors import StoreError
from afterwrite.storage.commits import DatabaseClock
from afterwrite.storage.postgres.bus import PostgresBus
from afterwrite.storage.postgres.ended_sessions import EndedSessionTable
from afterwrite.storage.postgres.figures import SharedFigures
from afterwrite.storage.postgres.meta import NOW_US
from afterwrite.storage.postgres.pipelined import WRITING
from afterwrite.storage.postgres.presence import Presence
from afterwrite.storage.processes import ProcessAlive

_log = logging.getLogger("afterwrite.database")

_GONE_SECONDS = 10
_FORGOTTEN_SECONDS = 3_600
_STALLED_SECONDS, _BEATS_PER_CHECK = 10, 5
_LIVE = text(
    f"SELECT name, role, host, pid, version, started_at_us, beat_at_us, {NOW_US} - beat_at_us, doing "  # noqa: S608
    f"FROM afterwrite.processes WHERE beat_at_us > {NOW_US} - {_GONE_SECONDS * 1_000_000} ORDER BY started_at_us, name"
)
_FORGET = text(
    f"DELETE FROM afterwrite.processes WHERE beat_at_us < {NOW_US} - {_FORGOTTEN_SECONDS * 1_000_000}"  # noqa: S608
)
# A process that stalls inside a pipeline is not idle in transaction: PostgreSQL itself never ends such a session.
_END_STALLED = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "  # noqa: S608
    f"AND usename = current_user AND application_name = '{WRITING}' AND state = 'active' "
    "AND wait_event = 'ClientRead' AND query_start < clock_timestamp() - make_interval(secs => :seconds)"
)


class Sharing(Presence):
    """The link of one process to the others. Raises StoreError while the database is unavailable."""

    def __init__(self, bus: PostgresBus, engine: Engine, clock: DatabaseClock, name: str, role: str) -> None:
        super().__init__(engine, clock, name, role)
        self.ended_sessions, self.figures = EndedSessionTable(engine), SharedFigures(engine, name)
        self.bus = bus
        self._forget_in = self._check_in = 0
        self.jobs: dict[str, asyncio.Task[None]] = {}
        """The tasks that run between ``start`` and ``stop``, by description."""

    async def start(self) -> None:
        """Start listening, polling and the heartbeat; on the loop."""
        await asyncio.to_thread(self.beat)
        jobs = {
            "Listening for notifications": self.bus.run(),
            "Polling for changes of other processes": self.bus.polls(),
            "The heartbeat of this process": self.beats(),
        }
        self.jobs = {name: asyncio.create_task(job) for name, job in jobs.items()}

    async def stop(self) -> None:
        """Stop them and sign off."""
        jobs, self.jobs = list(self.jobs.values()), {}
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        if jobs:
            try:
                await asyncio.to_thread(self.leave)
            except StoreError as error:  # the others notice the missing heartbeat
                _log.warning("could not remove this process from the table of processes: %s", error)

    def on_beat(self, connection: Connection) -> None:
        """End stalled sessions of other processes, and delete processes that ended long ago."""
        self._check_in -= 1
        if self._check_in < 0:
            self._check_in = _BEATS_PER_CHECK
            end_stalled(connection)
        self._forget_in -= 1
        if self._forget_in < 0:
            self._forget_in = 60
            connection.execute(_FORGET)

    def live(self) -> list[ProcessAlive]:
        """Every live process, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(_LIVE).all()
        return [ProcessAlive._make([*row[:-1], json.loads(row[-1])]) for row in rows]

    def others_live(self, role: str) -> bool:
        """Whether another process of this role is alive; False if the database is unavailable."""
        try:
            return any(one.role == role and one.name != self.name for one in self.live())
        except StoreError:
            return False


def end_stalled(connection: Connection, seconds: float = _STALLED_SECONDS) -> None:
    """End sessions stalled in a transaction for ``seconds``, because their locks block others."""
    ended = len(connection.execute(_END_STALLED, {"seconds": seconds}).all())
    if ended:
        _log.warning("ended %d stalled database sessions; their transactions were rolled back", ended)
