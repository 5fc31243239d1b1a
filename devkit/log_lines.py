"""Tail of a log file: its last lines, then new ones."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

BLOCK_BYTES = 64 * 1024
PAUSE_SECONDS = 0.2


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last `count` lines of the file, reading only its end; empty if the file is missing."""
    try:
        return _end(path, count)[0]
    except FileNotFoundError:
        return []


def follow(path: Path, count: int) -> Iterator[str]:
    """Yield the last `count` lines, then new text, forever.

    A log that is replaced or truncated is read again from its start.
    """
    lines, position = _end(path, count)
    yield "".join(f"{line}\n" for line in lines)
    while True:
        size = path.stat().st_size if path.exists() else 0
        if size < position:
            position = 0
        if size > position:
            with path.open("rb") as log:
                log.seek(position)
                added = log.read()
            position += len(added)
            yield added.decode("utf-8", "replace")
        else:
            time.sleep(PAUSE_SECONDS)


def _end(path: Path, count: int) -> tuple[list[str], int]:
    """Return the last `count` lines and the position after them."""
    with path.open("rb") as log:
        size = start = log.seek(0, os.SEEK_END)
        found = b""
        while start > 0 and found.count(b"\n") <= count:
            step = min(BLOCK_BYTES, start)
            start -= step
            log.seek(start)
            found = log.read(step) + found
    return found.decode("utf-8", "replace").splitlines()[-count:], size
