"""Notifications between processes over LISTEN and NOTIFY, with polling as a fallback."""

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
Poll = Callable[[], Awaitable[None]]

_log = logging.getLogger("afterwrite.database")

LOOK_SECONDS = 1.0  # finds what lost notifications announced
POLL_SECONDS = 0.1  # if notifications do not arrive
_PROBE_SECONDS = 2.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


class PostgresBus:
    """Sends hints between the processes on one database; a hint may be lost.

    Handlers and polls run on the loop; polls run every second and whenever a hint may be lost.
    """

    def __init__(self, direct: Address, reader: Engine) -> None:
        """``direct`` bypasses a transaction pooler if possible; ``reader`` sends."""
        self._direct, self._reader = direct, reader
        self._probe = f"afterwrite_probe_{secrets.token_hex(4)}"
        self._handlers: dict[str, Handler] = {}
        self._on_poll: list[Poll] = []
        self._probe_arrived = asyncio.Event()
        self._must_poll = False  # connected, but notifications do not arrive
        self.listens = False
        self.trouble: str | None = None

    def on(self, channel: str, handler: Handler) -> None:
        """Call ``handler`` with the payload of each notification of a channel; register before ``run``."""
        self._handlers[channel] = handler

    def on_poll(self, poll: Poll) -> None:
        """Call ``poll`` at every poll; register before ``run``."""
        self._on_poll.append(poll)

    def send(self, channel: str, payload: str) -> None:
        """Notify every process; from any thread but the loop's. Raises StoreError."""
        with self._reader.connect() as connection:
            connection.execute(_NOTIFY, {"channel": channel, "payload": payload})

    async def run(self) -> None:
        """Listen until cancelled; reconnect with backoff."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._listen()
                pause = _FIRST_PAUSE_SECONDS
            except (psycopg.Error, StoreError, OSError) as error:
                if self.listens or self.trouble is None:
                    _log.warning("lost the connection for notifications, reconnecting: %s", error)
                self.trouble = str(error)
                if self.listens:
                    pause = _FIRST_PAUSE_SECONDS
            self.listens = self._must_poll = False
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def polls(self) -> None:
        """Poll until cancelled."""
        while True:
            every = POLL_SECONDS if self._must_poll else LOOK_SECONDS
            await asyncio.sleep(every * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            await self._poll()

    async def _listen(self) -> None:
        connection = await connect_async(self._direct, prepared=False)
        try:
            for channel in (*self._handlers, self._probe):
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            listening = asyncio.create_task(self._dispatch(connection))
            try:
                await self._check_delivery()
                await self._poll()  # for hints sent before
                await listening
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
        finally:
            with contextlib.suppress(psycopg.Error):
                await connection.close()

    async def _dispatch(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        async for notification in connection.notifies():
            if notification.channel == self._probe:
                self._probe_arrived.set()
            elif handler := self._handlers.get(notification.channel):
                try:
                    handler(notification.payload)
                except Exception:  # noqa: BLE001 - the one place that handles bad payloads
                    _log.exception("ignored an invalid notification: %r", notification.payload)

    async def _check_delivery(self) -> None:
        """Send a probe: a transaction pooler accepts LISTEN, but never delivers."""
        self._probe_arrived.clear()
        await asyncio.to_thread(self.send, self._probe, "")
        try:
            # In Python 3.11 wait_for may lose a cancellation that arrives with the result.
            async with asyncio.timeout(_PROBE_SECONDS):
                await self._probe_arrived.wait()
        except TimeoutError:
            if self.trouble is None:
                _log.warning(
                    "polling every %g s: notifications do not come through %s (a transaction pooler?). Set "
                    "DATABASE_DIRECT_URL to a direct connection",
                    POLL_SECONDS,
                    self._direct,
                )
            self.trouble, self._must_poll = "notifications do not come through", True
            return
        _log.info("listening for notifications at %s", self._direct)
        self.listens, self.trouble = True, None

    async def _poll(self) -> None:
        for poll in self._on_poll:
            try:
                await poll()
            except StoreError as error:
                _log.debug("polling failed: %s", error)
            except Exception:  # noqa: BLE001 - the next poll may succeed
                _log.exception("polling for changes of other processes failed")
