"""Counts what several processes do in a file that they share, and lets them begin together.

A count costs its process less than a microsecond, and reading it costs them nothing: nothing is written for a task.
"""

import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

FOLDER_VARIABLE = "BENCH_COUNTERS"
PROCESSES_AT_MOST = 32
_NUMBER_BYTES = 8
_LOOK_SECONDS = 0.002


class Counters:
    """The counts of a measurement, as the process that measures sees them."""

    def __init__(self, folder: Path) -> None:
        """``folder`` exists; the processes that count are told of it by ``environment``."""
        self._folder = folder
        self.environment = {FOLDER_VARIABLE: str(folder)}
        _numbers_path(folder).write_bytes(bytes(PROCESSES_AT_MOST * _NUMBER_BYTES))
        self._numbers = _numbers(folder)

    def total(self) -> int:
        """The sum over all processes."""
        return sum(self._numbers)

    def at_gate(self) -> int:
        """How many processes wait at the gate."""
        return len(list(self._folder.glob("at-gate-*")))

    def open_gate(self) -> None:
        """Let them pass."""
        _gate(self._folder).touch()


def counter() -> Callable[[], None]:
    """A function that counts once, in a slot of the process that calls it first; for one thread at a time."""
    folder = Path(os.environ[FOLDER_VARIABLE])
    numbers: memoryview | None = None
    slot = 0

    def count() -> None:
        nonlocal numbers, slot
        if numbers is None:  # not before: a process may fork until then
            numbers, slot = _numbers(folder), _take_slot(folder)
        numbers[slot] += 1

    return count


def wait_at_gate() -> None:
    """Wait until all processes of the measurement have come so far; none of them begins before the others can."""
    folder = Path(os.environ[FOLDER_VARIABLE])
    (folder / f"at-gate-{os.getpid()}").touch()
    while not _gate(folder).exists():
        time.sleep(_LOOK_SECONDS)


def _take_slot(folder: Path) -> int:
    for slot in range(PROCESSES_AT_MOST):
        try:
            (folder / f"slot-{slot}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return slot
    raise RuntimeError(f"more than {PROCESSES_AT_MOST} processes count: raise PROCESSES_AT_MOST")


def _numbers(folder: Path) -> memoryview:
    with _numbers_path(folder).open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")


def _numbers_path(folder: Path) -> Path:
    return folder / "counts"


def _gate(folder: Path) -> Path:
    return folder / "gate-is-open"
