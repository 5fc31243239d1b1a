"""Lets the processes on one database know of each other: who lives, and what one tells the others."""

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
_STANDING_SECONDS, _BEATS_PER_LOOK = 10, 5
_LIVE = text(
    f"SELECT name, role, host, pid, version, started_at_us, beat_at_us, {NOW_US} - beat_at_us, doing "  # noqa: S608
    f"FROM afterwrite.processes WHERE beat_at_us > {NOW_US} - {_GONE_SECONDS * 1_000_000} ORDER BY started_at_us, name"
)
_FORGET = text(
    f"DELETE FROM afterwrite.processes WHERE beat_at_us < {NOW_US} - {_FORGOTTEN_SECONDS * 1_000_000}"  # noqa: S608
)
# A process that stands still in the middle of a pipeline does not idle: PostgreSQL ends no such session by itself.
_END_STANDING = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "  # noqa: S608
    f"AND usename = current_user AND application_name = '{WRITING}' AND state = 'active' "
    "AND wait_event = 'ClientRead' AND query_start < clock_timestamp() - make_interval(secs => :seconds)"
)


class Sharing(Presence):
    """What one process has to do with the others on its database. Raises StoreError where that is away."""

    def __init__(self, bus: PostgresBus, engine: Engine, clock: DatabaseClock, name: str, role: str) -> None:
        super().__init__(engine, clock, name, role)
        self.ended_sessions, self.figures = EndedSessionTable(engine), SharedFigures(engine, name)
        self.bus = bus
        self._forget_in = self._look_in = 0
        self.jobs: dict[str, asyncio.Task[None]] = {}
        """What goes on between ``start`` and ``stop``, by what it is."""

    async def start(self) -> None:
        """Begin to listen, to look and to give signs of life; on the loop."""
        await asyncio.to_thread(self.beat)
        jobs = {
            "Listening for notifications": self.bus.run(),
            "Looking for what other processes did": self.bus.polls(),
            "The heartbeat of this process": self.beats(),
        }
        self.jobs = {name: asyncio.create_task(job) for name, job in jobs.items()}

    async def stop(self) -> None:
        """End that, and say so."""
        jobs, self.jobs = list(self.jobs.values()), {}
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        if jobs:
            try:
                await asyncio.to_thread(self.leave)
            except StoreError as error:  # the others find out by themselves
                _log.warning("could not sign off: %s", error)

    def look_after(self, connection: Connection) -> None:
        """End the sessions of others that stand still, and forget processes that are long gone."""
        self._look_in -= 1
        if self._look_in < 0:
            self._look_in = _BEATS_PER_LOOK
            end_standing(connection)
        self._forget_in -= 1
        if self._forget_in < 0:
            self._forget_in = 60
            connection.execute(_FORGET)

    def live(self) -> list[ProcessAlive]:
        """Every process that lives, the oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(_LIVE).all()
        return [ProcessAlive._make([*row[:-1], json.loads(row[-1])]) for row in rows]

    def others_live(self, role: str) -> bool:
        """Whether another process of a role lives; not, where that cannot be asked."""
        try:
            return any(one.role == role and one.name != self.name for one in self.live())
        except StoreError:
            return False


def end_standing(connection: Connection, seconds: float = _STANDING_SECONDS) -> None:
    """End sessions that stood still so long in the middle of a transaction: others wait for what they have locked."""
    ended = len(connection.execute(_END_STANDING, {"seconds": seconds}).all())
    if ended:
        _log.warning(
            "%d sessions of processes that stand still were ended: their transactions are undone", ended
        )
