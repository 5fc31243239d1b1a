"""The valid API keys: those of API_KEYS and those of the file, which is polled for changes."""

import logging
import os
import threading
import time
from collections.abc import Callable

from afterwrite.access.key_file import key_file_path, read_keys
from afterwrite.access.keys import Key, check_unique, find_key, hash_of, keys_of_setting
from afterwrite.base.settings import Settings, SettingsError

CHECK_SECONDS = 1.0

_log = logging.getLogger("afterwrite.access")
# The file's modification time, length and inode; or why stat failed; None without a file.
_Seen = tuple[int, int, int] | str | None


class KeyRing:
    """The valid keys; thread-safe.

    Requests check the file at most once a second, and at once for an unknown key, so added and removed keys take effect
    without a restart. A deleted file holds no keys. An unreadable or invalid file leaves the keys unchanged, is logged
    once and retried.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises SettingsError for an invalid key, and for a missing file that API_KEYS_FILE names."""
        self._clock = clock
        self._path = key_file_path(settings)
        self._given = keys_of_setting(settings.api_keys)
        self._seen = self._stat()
        is_named = bool(settings.api_keys_file)
        of_file = read_keys(self._path) if self._seen is not None or is_named else ()
        check_unique([*self._given, *of_file])
        self._keys = (*self._given, *of_file)
        self._next_check_at = clock() + CHECK_SECONDS
        self._turn = threading.Lock()
        self._trouble = ""
        self.had_keys = bool(self._keys)
        """Whether there has been a key since the start: then the server stays closed, even without keys."""

    def known(self, secret: str) -> Key | None:
        """The key with this secret, as of the last check of the file."""
        return find_key(self._keys, hash_of(secret))

    def find(self, secret: str) -> Key | None:
        """The key with this secret; checks the file first, so a key added just now is found."""
        self._next_check_at = 0.0
        self.refresh()
        return self.known(secret)

    def named(self, name: str) -> Key | None:
        """The key with this name."""
        return next((key for key in self._keys if key.name == name), None)

    def refresh(self) -> None:
        """Check the file if the last check is at least CHECK_SECONDS ago."""
        if self._clock() < self._next_check_at or not self._turn.acquire(blocking=False):
            return
        try:
            self._next_check_at = self._clock() + CHECK_SECONDS
            seen = self._stat()
            if seen != self._seen and self._take_over(seen):
                # Only now, so that an unreadable file is retried even if it looks the same.
                self._seen = seen
        finally:
            self._turn.release()

    def _take_over(self, seen: _Seen) -> bool:
        try:
            keys = (*self._given, *(read_keys(self._path) if seen is not None else ()))
            check_unique(keys)
        except SettingsError as error:
            if self._trouble != str(error):
                self._trouble = str(error)
                _log.error("the new keys cannot be used, the %d known before stay valid: %s", len(self._keys), error)
            return False
        self._trouble = ""
        if not self.had_keys and keys:
            _log.warning("the first key was added: from now on requests need a key")
        self.had_keys = self.had_keys or bool(keys)
        self._keys = keys
        _log.info("the keys have changed, valid now: %s", ", ".join(key.name for key in keys) or "none")
        return True

    def _stat(self) -> _Seen:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - Path.stat would build a string at every check
        except FileNotFoundError:
            return None
        except OSError as error:
            return str(error)
        return found.st_mtime_ns, found.st_size, found.st_ino
