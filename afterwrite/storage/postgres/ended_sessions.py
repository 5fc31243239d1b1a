"""The table of sessions that were signed out before they expired, shared by all processes."""

from sqlalchemy import Engine, text

from afterwrite.storage.postgres.meta import KEEP, KEPT, NOW_US
from afterwrite.storage.retention_clock import RetentionClock

_ADD = text(
    f"INSERT INTO afterwrite.ended_sessions (id, ended_at_us) VALUES (:id, {NOW_US}) ON CONFLICT DO NOTHING"  # noqa: S608
)
_FORGET = text("DELETE FROM afterwrite.ended_sessions WHERE ended_at_us < :before_us")
_OLDEST = text(f"SELECT min(ended_at_us), {NOW_US} FROM afterwrite.ended_sessions")  # noqa: S608 - constants
# With an overlap: concurrent inserts may become visible in another order than their times.
_NEWER = text("SELECT id, ended_at_us FROM afterwrite.ended_sessions WHERE ended_at_us > :seen_us - 5000000")


class EndedSessionTable:
    """The ended sessions of one database. Raises StoreError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen_us = 0
        self._retention = RetentionClock("ended_sessions")

    def add(self, session_id: str, kept_seconds: int) -> None:
        """Record an ended session and delete those older than ``kept_seconds``."""
        with self._engine.connect() as connection:
            oldest_us, now_us = connection.execute(_OLDEST).one()
            kept = connection.exec_driver_sql(KEPT, (self._retention.key,)).scalar()
            reading = self._retention.read(kept, now_us, oldest_us)
            connection.exec_driver_sql(KEEP, (self._retention.key, reading.kept))
            connection.execute(_FORGET, {"before_us": reading.time_us - kept_seconds * 1_000_000})
            connection.execute(_ADD, {"id": session_id})
        self._retention.learn(reading)

    def take_new(self) -> list[str]:
        """The new ones since the last call, and some already seen."""
        with self._engine.connect() as connection:
            rows = connection.execute(_NEWER, {"seen_us": self._seen_us}).all()
        self._seen_us = max([self._seen_us, *(row[1] for row in rows)])
        return [row[0] for row in rows]
