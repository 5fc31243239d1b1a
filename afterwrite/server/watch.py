"""A poll four times a second, in a thread that ends when there is nothing to watch."""

import logging
import threading
import time
from collections.abc import Callable

_CHECK_SECONDS = 0.25
_IDLE_SECONDS = 60.0

_log = logging.getLogger("afterwrite.access")


class Watch:
    """Calls ``check`` with the monotonic time while ``has_work`` and for a minute after; ``wake`` is thread-safe."""

    def __init__(self, name: str, has_work: Callable[[], bool], check: Callable[[float], None]) -> None:
        self._name, self._has_work, self._check = name, has_work, check
        self._is_on = False
        self._turn = threading.Lock()

    def wake(self) -> None:
        """Start polling; call it when there is new work."""
        if self._is_on:
            return
        with self._turn:
            if not self._is_on:
                self._is_on = True
                threading.Thread(target=self._go_on, name=self._name, daemon=True).start()

    def _go_on(self) -> None:
        pause, idle_since = threading.Event(), time.monotonic()
        while True:
            pause.wait(_CHECK_SECONDS)
            now = time.monotonic()
            if self._has_work():
                idle_since = now
            elif now - idle_since > _IDLE_SECONDS and self._ends():
                return
            try:
                self._check(now)
            except Exception:  # noqa: BLE001 - one failed poll must not end the watch
                _log.exception("%s: one poll failed, the next one follows", self._name)

    def _ends(self) -> bool:
        with self._turn:
            self._is_on = False  # from here on, new work starts another thread
            self._is_on = self._has_work()
            return not self._is_on
