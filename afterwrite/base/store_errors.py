"""The errors of a database: logged in full, told to callers without the names of files and addresses."""

import logging
import threading
import time

_log = logging.getLogger("afterwrite.database")
_LOGGED_AGAIN_SECONDS = 60.0


class StoreError(Exception):
    """A database that cannot be used; the text names it and says what to do.

    The text is for the log and for administrators: it may name files, addresses and what the system says of them.
    ``told`` is for every caller, and names none.
    """

    told = (
        "The database cannot be used at the moment: send this again later, with its idempotency key if it has one. "
        "What was accepted is safe; the log and /health tell administrators why"
    )

    def __init__(self, message: str, told: str | None = None) -> None:
        super().__init__(message)
        if told is not None:
            self.told = told


class StoreUnavailable(StoreError):
    """A database cannot be used at the moment; nothing of the attempt was done."""


class TransactionConflict(StoreUnavailable):
    """Two transactions were in each other's way (a deadlock, a serialization failure): to be done again."""


class ToldErrors:
    """Logs what callers were not told; may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last, self._at = "", 0.0

    def told(self, error: StoreError) -> str:
        """Return the text for the caller, and log the whole text once a minute while it stays the same."""
        text, now = str(error), time.monotonic()
        with self._lock:
            is_known = text == self._last and now - self._at < _LOGGED_AGAIN_SECONDS
            if not is_known:
                self._last, self._at = text, now
        if not is_known:
            _log.error("a request could not be carried out: %s", text)
        return error.told


told = ToldErrors().told
