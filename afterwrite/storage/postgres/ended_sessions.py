"""Keeps the sessions that were signed out before their time, for every process to know."""

from sqlalchemy import Connection, Engine, text

from afterwrite.storage.postgres.meta import KEEP, KEPT, NOW_US
from afterwrite.storage.retention_clock import Look, RetentionClock

_ADD = text(
    f"INSERT INTO afterwrite.ended_sessions (id, ended_at_us) VALUES (:id, {NOW_US}) ON CONFLICT DO NOTHING"  # noqa: S608
)
_FORGET = text("DELETE FROM afterwrite.ended_sessions WHERE ended_at_us < :before_us")
_OLDEST = text(f"SELECT min(ended_at_us), {NOW_US} FROM afterwrite.ended_sessions")  # noqa: S608 - constants
# A little further back than what was seen: two that end at one moment may become visible one after the other.
_NEWER = text("SELECT id, ended_at_us FROM afterwrite.ended_sessions WHERE ended_at_us > :seen_us - 5000000")


class EndedSessionTable:
    """The ended sessions of one database. Raises StoreError where it is away."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen_us = 0
        self._retention = RetentionClock("ended_sessions")

    def add(self, session_id: str, kept_seconds: int) -> None:
        """Let every process know of an end, and forget those that are older than ``kept_seconds``."""
        with self._engine.connect() as connection:
            look = self._look_at_retention_clock(connection)
            connection.execute(_FORGET, {"before_us": look.time_us - kept_seconds * 1_000_000})
            connection.execute(_ADD, {"id": session_id})
        self._retention.learn(look)

    def take_new(self) -> list[str]:
        """Those that were not seen yet, and some that were."""
        with self._engine.connect() as connection:
            rows = connection.execute(_NEWER, {"seen_us": self._seen_us}).all()
        self._seen_us = max([self._seen_us, *(row[1] for row in rows)])
        return [row[0] for row in rows]

    def _look_at_retention_clock(self, connection: Connection) -> Look:
        """What time it is by the clock of retention, which is kept in the database."""
        key = self._retention.key
        oldest_us, now_us = connection.execute(_OLDEST).one()
        kept = connection.exec_driver_sql(KEPT, (key,)).scalar()
        look = self._retention.look(kept, now_us, oldest_us)
        connection.exec_driver_sql(KEEP, (key, look.kept))
        return look
