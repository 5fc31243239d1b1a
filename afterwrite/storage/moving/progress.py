"""Shows the progress of a long command: on a terminal each step redraws one line, elsewhere it writes plain lines."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from afterwrite.base.counts import counted
from afterwrite.storage.moving.rows import Report

_TERMINAL_SECONDS = 0.1
_LINE_SECONDS = 10.0  # where there is no terminal
_NOTICEABLE_SECONDS = 0.1


class Progress:
    """Writes to a stream how far the steps of a command are."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._is_terminal = stream, stream.isatty()

    def say(self, text: str, end: str = "\n") -> None:
        """Write one or more lines; without ``end`` the next text replaces this one on a terminal."""
        self._stream.write(f"\r{text}\x1b[K{end}" if self._is_terminal else f"{text}\n")
        self._stream.flush()

    @contextmanager
    def step(self, what: str, rows: int = 0) -> Iterator[Report]:
        """Show a step, such as ``products copied``, of so many rows (0: unknown); call the result with each more done.

        A step without rows that took no time gets no line.
        """
        began = shown = time.monotonic()
        every_seconds = _TERMINAL_SECONDS if self._is_terminal else _LINE_SECONDS
        done = 0

        def text(seconds: float) -> str:
            share = f" ({done / rows:.0%})" if rows else ""
            return f"{what}: {counted(done, 'row')}{share}, {done / max(seconds, 0.001):,.0f} a second"

        def report(more: int) -> None:
            nonlocal done, shown
            done += more
            now = time.monotonic()
            if now - shown >= every_seconds:
                shown = now
                self.say(text(now - began), end="")

        if self._is_terminal:
            self.say(what, end="")
        yield report
        seconds = time.monotonic() - began
        if done:
            self.say(f"{text(seconds)}, {seconds:.1f} s")
        elif seconds >= _NOTICEABLE_SECONDS:
            self.say(f"{what} in {seconds:.1f} s")
        elif self._is_terminal:
            self.say("", end="")
