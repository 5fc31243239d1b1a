"""Holds the keys that count at this moment: those of API_KEYS and those of the file, which is watched."""

import logging
import os
import threading
import time
from collections.abc import Callable

from afterwrite.access.key_file import key_file_path, read_keys
from afterwrite.access.keys import Key, check_unique, find_key, hash_of, keys_of_setting
from afterwrite.base.settings import Settings, SettingsError

LOOK_SECONDS = 1.0

_log = logging.getLogger("afterwrite.access")
# Of the file: when it changed, its length and its inode; or why it cannot be looked at; None where there is none.
_Seen = tuple[int, int, int] | str | None


class KeyRing:
    """The keys that count; may be used from any number of threads.

    The file is looked at once a second at the most, and when an unknown key comes, so a key that is added or removed
    counts without a restart. A file that has gone holds no keys. One that cannot be read, or that is wrong, leaves the
    keys as they are, is logged once and tried again.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises SettingsError when a key cannot be used; no file at all is none, unless API_KEYS_FILE names it."""
        self._clock = clock
        self._path = key_file_path(settings)
        self._given = keys_of_setting(settings.api_keys)
        self._seen = self._look()
        is_named = bool(settings.api_keys_file)
        of_file = read_keys(self._path) if self._seen is not None or is_named else ()
        check_unique([*self._given, *of_file])
        self._keys = (*self._given, *of_file)
        self._look_again = clock() + LOOK_SECONDS
        self._turn = threading.Lock()
        self._trouble = ""
        self.had_keys = bool(self._keys)
        """Whether there was a key at any time since the start: then the server is not open, also without any."""

    def known(self, secret: str) -> Key | None:
        """The key with this secret, as of the last look at the file."""
        return find_key(self._keys, hash_of(secret))

    def find(self, secret: str) -> Key | None:
        """The key with this secret, also if it was added just now: looks at the file."""
        self._look_again = 0.0
        self.refresh()
        return self.known(secret)

    def named(self, name: str) -> Key | None:
        """The key of this name."""
        return next((key for key in self._keys if key.name == name), None)

    def refresh(self) -> None:
        """Look at the file if the last look is long enough ago."""
        if self._clock() < self._look_again or not self._turn.acquire(blocking=False):
            return
        try:
            self._look_again = self._clock() + LOOK_SECONDS
            seen = self._look()
            if seen != self._seen and self._take_over(seen):
                # Only now: a file that could not be read is tried again, even if it looks the same.
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
                _log.error("the keys known before (%d) go on counting: %s", len(self._keys), error)
            return False
        self._trouble = ""
        if not self.had_keys and keys:
            _log.warning("the first key was added: from now on requests need one")
        self.had_keys = self.had_keys or bool(keys)
        self._keys = keys
        _log.info("the keys have changed: %s", ", ".join(key.name for key in keys) or "there is none")
        return True

    def _look(self) -> _Seen:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - a Path would be made into a text at every look
        except FileNotFoundError:
            return None
        except OSError as error:
            return str(error)
        return found.st_mtime_ns, found.st_size, found.st_ino
