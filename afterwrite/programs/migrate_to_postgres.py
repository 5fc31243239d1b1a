"""Moves the embedded catalogue in DATA_DIR to the PostgreSQL in DATABASE_URL; with ``--reopen``, reopens the folder."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from afterwrite.base.counts import counted
from afterwrite.base.settings import Settings, SettingsError, from_environment
from afterwrite.base.store_errors import StoreError
from afterwrite.storage.moving.source import reopen

_TERMINAL_SECONDS = 0.1
_LINE_SECONDS = 10.0  # where there is no terminal
_TOLD_SECONDS = 0.1
_LEAST_SECONDS = 0.001
_DESCRIPTION = """\
Copies the embedded catalogue in DATA_DIR into the PostgreSQL in DATABASE_URL: products, ledger, the writes that wait,
idempotency keys, tasks with what was done to them, received webhooks, and the secrets that sign webhooks and sessions.
Then it counts every table on both sides and compares checksums.

Stop the server before. The files in DATA_DIR are only read, and marked at the end: from then on nothing starts on them
without DATABASE_URL. The database must be empty, or one into which this very catalogue was begun to be copied: after an
interruption run it again, and it goes on from there. Until it has ended no server or worker starts on that database."""
_DONE = """\
Done in {seconds:,.0f} s. {data_dir} is not used any more: start the server with DATABASE_URL set. Without it nothing
starts on that folder, or there would be two catalogues from then on. Keep the databases there until you have a backup
of PostgreSQL; keys in {data_dir}/api-keys are still read from there."""
_REOPENED = """\
{data_dir} is served again where DATABASE_URL is not set. {address} is left as it is:
what has come there since is not in the folder."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0 when all of it is in PostgreSQL and checked, 1 when it is not, 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return _reopen(from_environment()) if options.reopen else _move(from_environment())
    except (SettingsError, StoreError) as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted; what was copied is kept: run it again, and it goes on from there", 130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="afterwrite migrate-to-postgres",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--reopen",
        action="store_true",
        help="let a folder that was moved be served again, as it was when it was moved",
    )
    return parser


def _move(settings: Settings) -> int:
    if not settings.database_url:
        raise SettingsError(
            "DATABASE_URL is not set: it says where to copy to, postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    from afterwrite.storage.moving.move import move  # here, because it needs the packages for PostgreSQL

    begin = time.perf_counter()
    progress = Progress(sys.stdout)
    move(settings, progress)
    progress.say(_DONE.format(seconds=time.perf_counter() - begin, data_dir=settings.data_dir))
    return 0


def _reopen(settings: Settings) -> int:
    address = reopen(settings)
    if address is None:
        raise StoreError(f"{settings.data_dir} was never moved to PostgreSQL: there is nothing to do")
    Progress(sys.stdout).say(_REOPENED.format(data_dir=settings.data_dir, address=address))
    return 0


def _fail(message: str, code: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"migrate-to-postgres: {message}\n")
    return code


class Progress:
    """Tells how it goes: on a terminal each step in one line that draws itself anew, elsewhere in plain lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._every_seconds = _TERMINAL_SECONDS if self._is_terminal else _LINE_SECONDS
        self._what, self._all, self._present, self._new = "", 0, 0, 0
        self._began = self._shown = 0.0

    def say(self, text: str) -> None:
        """A line, or some."""
        self._write(text, ends=True)

    def begin(self, what: str) -> None:
        """Begin a step, such as ``index products_search built``."""
        self._began = self._shown = time.monotonic()
        self._what = what
        if self._is_terminal:
            self._write(what, ends=False)

    def end(self) -> None:
        """End it; what took no time is not worth a line."""
        seconds = time.monotonic() - self._began
        if seconds >= _TOLD_SECONDS:
            self._write(f"{self._what} in {seconds:.1f} s", ends=True)
        else:
            self._clear()

    def begin_rows(self, what: str, rows: int = 0, present: int = 0) -> Callable[[int], None]:
        """Begin a step, such as ``products copied``, of so many rows (0: nobody knows), ``present`` of them done.

        Returns what is to be called with how many more are done.
        """
        self.begin(what)
        self._all, self._present, self._new = rows, present, 0
        return self._add

    def end_rows(self) -> None:
        """End it; a table without rows is not worth a line."""
        seconds = time.monotonic() - self._began
        if self._present + self._new:
            self._write(f"{self._text(seconds)}, {seconds:.1f} s", ends=True)
        else:
            self._clear()

    def _add(self, rows: int) -> None:
        self._new += rows
        now = time.monotonic()
        if now - self._shown >= self._every_seconds:
            self._shown = now
            self._write(self._text(now - self._began), ends=not self._is_terminal)

    def _text(self, seconds: float) -> str:
        done = self._present + self._new
        share = f" ({done / self._all:.0%})" if self._all else ""
        return f"{self._what}: {counted(done, 'row')}{share}, {self._new / max(seconds, _LEAST_SECONDS):,.0f} a second"

    def _clear(self) -> None:
        if self._is_terminal:
            self._write("", ends=False)

    def _write(self, text: str, *, ends: bool) -> None:
        begin, end = ("\r", "\x1b[K") if self._is_terminal else ("", "")
        self._stream.write(f"{begin}{text}{end}" + ("\n" if ends else ""))
        self._stream.flush()
