"""Shared-memory counters for several processes, and a gate at which they start together.

A count takes less than a microsecond, reading costs the counting processes nothing, and tasks need not write anything.
"""

import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

FOLDER_VARIABLE = "BENCH_COUNTERS"
PROCESSES_AT_MOST = 32
_NUMBER_BYTES = 8
_POLL_SECONDS = 0.002


class Counters:
    """The counters of a measurement, read by the measuring process."""

    def __init__(self, folder: Path) -> None:
        """``folder`` must exist; pass ``environment`` to the counting processes."""
        self._folder = folder
        self.environment = {FOLDER_VARIABLE: str(folder)}
        _numbers_path(folder).write_bytes(bytes(PROCESSES_AT_MOST * _NUMBER_BYTES))
        self._numbers = _numbers(folder)

    def total(self) -> int:
        """The sum over all processes."""
        return sum(self._numbers)

    def at_gate(self) -> int:
        """The number of processes at the gate."""
        return len(list(self._folder.glob("at-gate-*")))

    def open_gate(self) -> None:
        """Let the processes pass."""
        _gate(self._folder).touch()


def counter() -> Callable[[], None]:
    """A function that counts once; its first call takes a slot for the process. For one thread at a time."""
    folder = Path(os.environ[FOLDER_VARIABLE])
    numbers: memoryview | None = None
    slot = 0

    def count() -> None:
        nonlocal numbers, slot
        if numbers is None:  # not earlier: the process may still fork
            numbers, slot = _numbers(folder), _take_slot(folder)
        numbers[slot] += 1

    return count


def wait_at_gate() -> None:
    """Wait until the gate opens, which is when all processes of the measurement are ready."""
    folder = Path(os.environ[FOLDER_VARIABLE])
    (folder / f"at-gate-{os.getpid()}").touch()
    while not _gate(folder).exists():
        time.sleep(_POLL_SECONDS)


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
