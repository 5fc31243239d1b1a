"""Huey's SQLite queue with its consumer in a separate process, as its documentation recommends."""

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from huey import SqliteHuey  # type: ignore[import-untyped]
from huey.api import TaskWrapper  # type: ignore[import-untyped]

from bench.noop_workers import nothing

PROJECT = Path(__file__).parent.parent
WAIT_SECONDS = 60.0
STOP_SECONDS = 10


def open_huey(path: Path, handler: Callable[[], None] = nothing) -> tuple[SqliteHuey, TaskWrapper]:
    """Return a SqliteHuey with its defaults, and its task, which calls the handler.

    The defaults: WAL, SQLite's default ``synchronous`` (FULL: every commit is on disk), results stored except None. A
    task is deleted when it is dequeued, so tasks running in a killed consumer are lost.
    """
    huey = SqliteHuey(filename=str(path))

    def noop() -> None:  # every process finds it by this name and module
        handler()

    return huey, huey.task()(noop)


class HueyQueue:
    """A Huey queue in a new folder; its consumer runs until ``close``."""

    def __init__(self, folder: Path, *tells: str) -> None:
        """``tells`` are the TELL arguments of ``bench.huey_consumer``."""
        self._huey, self._noop = open_huey(folder / "huey.db")
        self._errors = folder / "huey.err"
        with self._errors.open("wb") as errors:
            self._consumer = subprocess.Popen(
                [sys.executable, "-m", "bench.huey_consumer", str(folder / "huey.db"), *tells],
                cwd=PROJECT,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
            )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def create(self) -> None:
        """Create a task; it is on disk when this returns."""
        self._noop()

    def wait_ended(self, count: int) -> None:
        """Wait until ``count`` tasks have ended; it must be one of ``tells``."""
        ended = int(self.next_line())
        if ended != count:
            raise RuntimeError(f"Huey's consumer reported {ended} ended tasks, {count} were expected")

    def next_line(self) -> str:
        """Wait for the next line of the consumer; RuntimeError with its error output on timeout."""
        try:
            line = self._lines.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            line = ""
        if not line:
            raise RuntimeError(f"Huey's consumer was silent: {self._errors.read_text()[-2000:]}")
        return line

    def synchronous(self) -> int:
        """Huey's value of PRAGMA synchronous; 2 is FULL."""
        level: int = self._huey.storage.sql("PRAGMA synchronous", results=True)[0][0]
        return level

    def close(self) -> None:
        """Stop the consumer and close the database."""
        self._consumer.send_signal(signal.SIGINT)
        try:
            self._consumer.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._consumer.kill()
            self._consumer.wait()
        self._reading.join()
        if self._consumer.stdout is not None:
            self._consumer.stdout.close()
        self._huey.storage.close()

    def _read(self) -> None:
        if self._consumer.stdout is not None:
            for line in self._consumer.stdout:
                self._lines.put(line)
        self._lines.put("")
