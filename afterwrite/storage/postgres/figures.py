"""Recent figures for the charts, shared by all processes: one row per process and time bucket."""

import json
from typing import Any

from sqlalchemy import Engine, text

_SAVE = text(
    "INSERT INTO afterwrite.recent_figures (bucket, process, figures) VALUES (:bucket, :process, :figures) "
    "ON CONFLICT (bucket, process) DO UPDATE SET figures = excluded.figures"
)
_FORGET = text("DELETE FROM afterwrite.recent_figures WHERE bucket < :oldest")
_LOAD = text("SELECT bucket, figures FROM afterwrite.recent_figures WHERE bucket >= :oldest")


class SharedFigures:
    """The figures of all processes; a bucket is its start in seconds since 1970. Raises StoreError."""

    def __init__(self, engine: Engine, process: str) -> None:
        """``process`` is the name of this process."""
        self._engine, self._process = engine, process

    def save(self, bucket: int, figures: dict[str, Any], oldest: int) -> None:
        """Store a bucket of this process; delete all buckets before ``oldest``."""
        values = {"bucket": bucket, "process": self._process, "figures": json.dumps(figures)}
        with self._engine.connect() as connection:
            connection.execute(_SAVE, values)
            connection.execute(_FORGET, {"oldest": oldest})

    def load(self, oldest: int) -> list[tuple[int, dict[str, Any]]]:
        """The buckets of every process since ``oldest``."""
        with self._engine.connect() as connection:
            rows = connection.execute(_LOAD, {"oldest": oldest}).all()
        return [(row[0], json.loads(row[1])) for row in rows]
