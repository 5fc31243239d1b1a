"""Gives signs of life of this process in the shared database, so that the others can list it."""

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


# The second: a database whose schema no server has made yet.
_UNAVAILABLE = (StoreError, SQLAlchemyError)


class Presence:
    """The signs of life of one process. Raises StoreError where the database is unavailable."""

    def __init__(self, engine: Engine, clock: DatabaseClock, name: str, role: str) -> None:
        """``role`` is what this process is for, such as ``server``; ``clock`` learns the database's time."""
        self.clock, self.name = clock, name
        self._engine, self._role = engine, role
        self._signing, self._has_left = threading.Lock(), False
        self.doing: Callable[[], Mapping[str, Any]] = dict
        """What this process does at the moment, for /health."""

    def beat(self) -> None:
        """Give a sign of life; none after ``leave``, which may overtake one that is under way."""
        with self._signing:
            if not self._has_left:
                self._beat()

    def leave(self) -> None:
        """Say that this process ends."""
        with self._signing, self._engine.connect() as connection:
            self._has_left = True
            connection.execute(_LEAVE, {"name": self.name})

    async def beats(self) -> None:
        """Give a sign of life every second, until it is cancelled; while the database is unavailable none."""
        while True:
            try:
                await asyncio.to_thread(self.beat)
            except _UNAVAILABLE as error:
                _log.debug("no sign of life could be given: %s", error)
            await asyncio.sleep(_BEAT_SECONDS)

    def look_after(self, connection: Connection) -> None:
        """Called with each sign of life."""

    def _beat(self) -> None:
        values = {"name": self.name, "role": self._role, "host": socket.gethostname(), "pid": os.getpid()}
        values |= {"version": VERSION, "doing": json.dumps(self.doing())}
        with self._engine.connect() as connection:
            self.clock.learn(connection.execute(_BEAT, values).scalar_one())
            self.look_after(connection)


class OwnPresence(Presence):
    """The signs of life of a process that has no other business with the database, and goes on without it."""

    def __init__(self, settings: Settings, role: str) -> None:
        """Raises SettingsError where DATABASE_URL cannot be used."""
        super().__init__(
            open_reader(address_of(settings), 1, prepared=False), DatabaseClock(), new_name(), role
        )

    def close(self) -> None:
        """Sign off, as far as the database can be reached, and let go of it."""
        try:
            self.leave()
        except _UNAVAILABLE as error:  # the others find out by themselves
            _log.debug("could not sign off: %s", error)
        self._engine.dispose()
