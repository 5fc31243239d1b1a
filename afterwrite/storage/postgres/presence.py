"""Heartbeats of this process in the shared database."""

import asyncio
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from afterwrite.base.settings import VERSION, Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.storage.commits import DatabaseClock
from afterwrite.storage.postgres.address import address_of
from afterwrite.storage.postgres.connect import open_reader
from afterwrite.storage.postgres.meta import NOW_US
from afterwrite.storage.processes import new_name

_log = logging.getLogger("afterwrite.database")

_BEAT_SECONDS = 1.0
_BEAT = text(
    "INSERT INTO afterwrite.processes (name, role, host, pid, version, started_at_us, beat_at_us, doing) "  # noqa: S608 - constants
    f"VALUES (:name, :role, :host, :pid, :version, {NOW_US}, {NOW_US}, :doing) "
    f"ON CONFLICT (name) DO UPDATE SET beat_at_us = {NOW_US}, doing = excluded.doing "
    "RETURNING beat_at_us"
)
_LEAVE = text("DELETE FROM afterwrite.processes WHERE name = :name")

# SQLAlchemyError: no server has created the schema yet.
_UNAVAILABLE = (StoreError, SQLAlchemyError)


class Presence:
    """The heartbeat of one process. Raises StoreError while the database is unavailable."""

    def __init__(self, engine: Engine, clock: DatabaseClock, name: str, role: str) -> None:
        """``role`` is for example ``server``; each heartbeat synchronises ``clock`` with the database."""
        self.clock, self.name = clock, name
        self._engine, self._role = engine, role
        self._beating, self._has_left = threading.Lock(), False
        self.doing: Callable[[], Mapping[str, Any]] = dict
        """Returns the current activity of this process, for /health."""

    def beat(self) -> None:
        """Send a heartbeat, unless ``leave`` has run concurrently."""
        values = {"name": self.name, "role": self._role, "host": socket.gethostname(), "pid": os.getpid()}
        with self._beating:
            if self._has_left:
                return
            values |= {"version": VERSION, "doing": json.dumps(self.doing())}
            with self._engine.connect() as connection:
                self.clock.learn(connection.execute(_BEAT, values).scalar_one())
                self.on_beat(connection)

    def leave(self) -> None:
        """Remove this process from the table."""
        with self._beating, self._engine.connect() as connection:
            self._has_left = True
            connection.execute(_LEAVE, {"name": self.name})

    async def beats(self) -> None:
        """Send a heartbeat every second until cancelled; skip it while the database is unavailable."""
        while True:
            try:
                await asyncio.to_thread(self.beat)
            except _UNAVAILABLE as error:
                _log.debug("heartbeat failed, trying again in a second: %s", error)
            await asyncio.sleep(_BEAT_SECONDS)

    def on_beat(self, connection: Connection) -> None:
        """Hook that runs with each heartbeat."""


class OwnPresence(Presence):
    """The heartbeat of a process that otherwise works without the database."""

    def __init__(self, settings: Settings, role: str) -> None:
        """Raises SettingsError for an invalid DATABASE_URL."""
        super().__init__(open_reader(address_of(settings), 1, prepared=False), DatabaseClock(), new_name(), role)

    def close(self) -> None:
        """Sign off, if the database is available, and close the connection."""
        try:
            self.leave()
        except _UNAVAILABLE as error:  # the others notice the missing heartbeat
            _log.debug("could not remove this process from the table of processes: %s", error)
        self._engine.dispose()
