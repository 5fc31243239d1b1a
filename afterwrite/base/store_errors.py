"""Database errors: logged in full, shown to clients without file names and addresses."""

import logging
import threading
import time

_log = logging.getLogger("afterwrite.database")
_LOGGED_AGAIN_SECONDS = 60.0


class StoreError(Exception):
    """A database cannot be used; the text names it and says what to do.

    The text is for the log and for administrators: it may name files, addresses and system errors. ``public_text`` is
    safe for every client.
    """

    public_text = (
        "The database cannot be used at the moment: send this again later, with its idempotency key if it has one. "
        "What was accepted is safe; the log and /health tell administrators why"
    )

    def __init__(self, message: str, public_text: str | None = None) -> None:
        super().__init__(message)
        if public_text is not None:
            self.public_text = public_text


class StoreUnavailable(StoreError):
    """A database is unavailable; the attempt changed nothing."""


class TransactionConflict(StoreUnavailable):
    """A deadlock or a serialization failure: run the transaction again."""


class _ErrorLog:
    """Logs errors whose text clients do not get; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last, self._at = "", 0.0

    def log_and_redact(self, error: StoreError) -> str:
        """Log the full text, once a minute while it stays the same; return the text for clients."""
        text, now = str(error), time.monotonic()
        with self._lock:
            is_known = text == self._last and now - self._at < _LOGGED_AGAIN_SECONDS
            if not is_known:
                self._last, self._at = text, now
        if not is_known:
            _log.error("a request could not be carried out: %s", text)
        return error.public_text


log_and_redact = _ErrorLog().log_and_redact
