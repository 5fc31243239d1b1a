"""Atomic, durable writes of small files, file locks and durable folders. Standard library only, for dev.py."""

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
    """Replace the content atomically; owner-readable only, fsynced when this returns. Raises OSError.

    Readers, also after a power cut, see the old content or the new one. A ``<name>.new`` left by a killed writer is
    removed. Concurrent writers must hold ``lock_of``.
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
    """Write the file as ``replace_file`` does, unless it exists; exactly one process creates it. Raises OSError."""
    with lock_of(path):
        if not path.exists():
            replace_file(path, text)


@contextlib.contextmanager
def lock_of(path: Path) -> Iterator[None]:
    """Hold an advisory lock on ``<name>.lock``; the system releases it when the process ends.

    Raises OSError, and TimeoutError after ten seconds.
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
        os.close(handle)  # releases the lock


def make_folder(folder: Path) -> None:
    """Create the folder and its missing parents; their directory entries are fsynced when this returns.

    An existing folder is synced too: its creator may have been killed before the fsync. Raises OSError.
    """
    parent = folder.absolute().parent
    if folder.is_dir():
        with contextlib.suppress(OSError):  # without read access to the parent, this process did not create the folder
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
        """Windows cannot open a folder for fsync; NTFS journals directory entries."""

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
