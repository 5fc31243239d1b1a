"""Writes small files so that a power cut leaves the old content or the new one. Standard library only, for dev.py."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_OWNER_ONLY = 0o600
_LOCK_SECONDS = 10.0
_LOCK_PAUSE_SECONDS = 0.02


def replace_file(path: Path, text: str) -> None:
    """Put ``text`` into the file, readable for the owner only; on disk when this returns. Raises OSError.

    Readers see the old content or the new one. What a killed writer left in ``<name>.new`` is removed. Callers that may
    write at the same time must hold ``lock_of``.
    """
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    _sync_folder(path.parent)


def create_file(path: Path, text: str) -> None:
    """Put ``text`` into the file as ``replace_file`` does, unless the file exists. Raises OSError.

    Of several processes that do so at once, one writes, and the others leave its file as it is.
    """
    with lock_of(path):
        if not path.exists():
            replace_file(path, text)


@contextlib.contextmanager
def lock_of(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is on ``<name>.lock`` and ends with its process.

    Raises OSError, and TimeoutError when another process holds it for ten seconds.
    """
    handle = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, _OWNER_ONLY)
    until = time.monotonic() + _LOCK_SECONDS
    try:
        while not _try_lock(handle):
            if time.monotonic() > until:
                raise TimeoutError(0, f"another process has held its lock for {_LOCK_SECONDS:g} s")
            time.sleep(_LOCK_PAUSE_SECONDS)
        yield
    finally:
        os.close(handle)  # gives the lock back


def make_folder(folder: Path) -> None:
    """Make the folder, and those above it that are missing; the names of all are on disk when this returns.

    A folder that is there may have been made by a process that ended before its name was on disk. Raises OSError.
    """
    parent = folder.absolute().parent
    if folder.is_dir():
        with contextlib.suppress(
            OSError
        ):  # where this process may not read the parent, it has not made the folder
            _sync_folder(parent)
        return
    make_folder(parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(parent)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _sync_folder(folder: Path) -> None:
        """Windows lets no program open a folder; NTFS journals the names in it."""

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _sync_folder(folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
