"""Hears from other processes over NOTIFY, and lets everybody look by themselves where it does not come through."""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Engine, text

from afterwrite.base.store_errors import StoreError
from afterwrite.storage.postgres.address import Address
from afterwrite.storage.postgres.connect import connect_async

Handler = Callable[[str], None]
Look = Callable[[], Awaitable[None]]

_log = logging.getLogger("afterwrite.database")

LOOK_SECONDS = 1.0  # a notification may be lost; what it told of is found then
POLL_SECONDS = 0.1  # where none comes through
_PROBE_SECONDS = 2.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


class PostgresBus:
    """Carries hints between the processes on one database over NOTIFY and LISTEN; a hint may be lost.

    Handlers and looks are called on the loop; a look is called when something may have been missed, and every second.
    """

    def __init__(self, direct: Address, reader: Engine) -> None:
        """``direct`` leads past a pooler of transactions, where there is a way; ``reader`` is what sends."""
        self._direct, self._reader = direct, reader
        self._probe = f"afterwrite_probe_{secrets.token_hex(4)}"
        self._handlers: dict[str, Handler] = {}
        self._looks: list[Look] = []
        self._heard = asyncio.Event()  # a probe came through
        self._is_deaf = False  # connected, and told nothing
        self.listens = False
        self.trouble: str | None = None

    def on(self, channel: str, handler: Handler) -> None:
        """Call ``handler`` with the payload of every notification of a channel; before ``run``."""
        self._handlers[channel] = handler

    def look(self, look: Look) -> None:
        """Call ``look`` whenever something may have been missed; before ``run``."""
        self._looks.append(look)

    def send(self, channel: str, payload: str) -> None:
        """Tell every process; in any thread but the loop's. Raises StoreError."""
        with self._reader.connect() as connection:
            connection.execute(_NOTIFY, {"channel": channel, "payload": payload})

    async def run(self) -> None:
        """Listen until it is cancelled; a connection that is lost is made again."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._listen()
                pause = _FIRST_PAUSE_SECONDS
            except (psycopg.Error, StoreError, OSError) as error:
                if self.listens or self.trouble is None:
                    _log.warning("no notifications until the connection is made again: %s", error)
                self.trouble = str(error)
                if self.listens:
                    pause = _FIRST_PAUSE_SECONDS
            self.listens = self._is_deaf = False
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - it spreads retries
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def polls(self) -> None:
        """Look again and again until it is cancelled."""
        while True:
            every = POLL_SECONDS if self._is_deaf else LOOK_SECONDS
            await asyncio.sleep(every * random.uniform(0.8, 1.2))  # noqa: S311 - it spreads the looks
            await self._look_everywhere()

    async def _listen(self) -> None:
        connection = await connect_async(self._direct, prepared=False)
        try:
            for channel in (*self._handlers, self._probe):
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            hearing = asyncio.create_task(self._hear(connection))
            try:
                await self._check_that_it_comes_through()
                await self._look_everywhere()  # what was told before
                await hearing
            finally:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)
        finally:
            with contextlib.suppress(psycopg.Error):
                await connection.close()

    async def _hear(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        async for notification in connection.notifies():
            if notification.channel == self._probe:
                self._heard.set()
            elif handler := self._handlers.get(notification.channel):
                try:
                    handler(notification.payload)
                except Exception:  # noqa: BLE001 - the one place where what is heard goes wrong
                    _log.exception("a notification could not be understood: %r", notification.payload)

    async def _check_that_it_comes_through(self) -> None:
        """A pooler of transactions takes LISTEN without a word, and never tells anything."""
        self._heard.clear()
        await asyncio.to_thread(self.send, self._probe, "")
        try:
            # In Python 3.11 wait_for loses a cancel that comes with what it waits for.
            async with asyncio.timeout(_PROBE_SECONDS):
                await self._heard.wait()
        except TimeoutError:
            if self.trouble is None:
                _log.warning(
                    "polling every %g s: notifications do not come through %s (a pooler of transactions?). Set "
                    "DATABASE_DIRECT_URL to a connection without one",
                    POLL_SECONDS,
                    self._direct,
                )
            self.trouble, self._is_deaf = "notifications do not come through", True
            return
        _log.info("listening for notifications at %s", self._direct)
        self.listens, self.trouble = True, None

    async def _look_everywhere(self) -> None:
        for look in self._looks:
            try:
                await look()
            except StoreError as error:
                _log.debug("could not look: %s", error)
            except Exception:  # noqa: BLE001 - the next look may succeed
                _log.exception("could not look for what other processes did")
