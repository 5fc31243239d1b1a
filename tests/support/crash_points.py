"""Makes SQLite fail, or the process seem killed, at one chosen commit of the real code."""

import itertools
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

FILES = ("journal.db", "products.db")


class Work(Enum):
    """What a transaction does."""

    NOTHING = "take the journal's lock, or replay what is settled already"
    MIGRATE = "migrate"
    BIND = "bind the journal to its catalogue"
    APPEND = "append"
    FORGET = "forget"
    SETTLE = "settle"
    INDEX = "index"


class Harm(Enum):
    """What happens at the transaction.

    The errors are those that SQLite gives; a crash copies the files as a killed process leaves them at that
    moment, ``CRASH_INSIDE`` with the transaction half written to the write-ahead log. The process that was
    killed in truth goes on over its own files; what it does from then on counts for nothing.
    """

    ERROR_INSIDE = "error inside"
    ERROR_BEFORE_COMMIT = "error before COMMIT"
    ERROR_AFTER_COMMIT = "error after COMMIT"
    CRASH_BEFORE_COMMIT = "crash before COMMIT"
    CRASH_INSIDE_COMMIT = "crash inside COMMIT"
    CRASH_AFTER_COMMIT = "crash after COMMIT"


CRASHES = (Harm.CRASH_BEFORE_COMMIT, Harm.CRASH_INSIDE_COMMIT, Harm.CRASH_AFTER_COMMIT)


class CrashPoint(NamedTuple):
    """One harm at the next transactions of one kind, ``times`` of them; a crash comes once."""

    work: Work
    harm: Harm
    times: int = 1


# The statement that tells what its transaction does, and in which an error inside comes.
_TELLING = {
    "CREATE TABLE": Work.MIGRATE,
    "INSERT OR IGNORE INTO meta": Work.BIND,
    "DELETE FROM writes": Work.FORGET,
    "INSERT INTO writes": Work.APPEND,
    "INSERT INTO ledger": Work.SETTLE,
    "INSERT INTO products_fts": Work.INDEX,
}


class CrashPoints:
    """Watches the connections opened through ``connect`` and does harm at the armed point."""

    def __init__(self, folder: Path) -> None:
        self.wreck: Path | None = None
        self.reached: set[tuple[Work, Harm]] = set()
        self.commits: dict[Work, int] = dict.fromkeys(Work, 0)
        self.journal_begins: Callable[[], None] = lambda: None
        self.catalogue_begins: Callable[[], None] = lambda: None
        self._watched: type[_Watched] = type("_WatchedHere", (_Watched,), {"points": self})
        self._folder, self._numbers = folder, itertools.count()
        self._lock = threading.Lock()
        self._armed: CrashPoint | None = None
        self._left = 0

    def connect(self, database: Any, *args: Any, **options: Any) -> sqlite3.Connection:
        """To be put in the place of ``sqlite3.connect``."""
        return self._watched(database, *args, **options)

    def arm(self, point: CrashPoint | None) -> None:
        """Do this harm next, and forget the wreck of the last crash."""
        with self._lock:
            self._armed, self._left, self.wreck = point, point.times if point else 0, None

    def take(self, work: Work, *harms: Harm) -> Harm | None:
        """The armed harm if it is one of these and for this work; it is used up by this."""
        with self._lock:
            if self._armed is None or self._armed.work != work or self._armed.harm not in harms:
                return None
            harm = self._armed.harm
            self.reached.add((work, harm))
            self._left -= 1
            if self._left == 0 or harm in CRASHES:
                self._armed = None
            return harm

    def copy_files(self, source: Path) -> Path:
        """The files of a data folder as they are now, in a new folder; their shared memory dies with a process."""
        target = self._folder / f"wreck-{next(self._numbers)}"
        target.mkdir()
        for name, ending in itertools.product(FILES, ("", "-wal", "-journal")):
            if (source / f"{name}{ending}").exists():
                shutil.copyfile(source / f"{name}{ending}", target / f"{name}{ending}")
        return target


class _Watched(sqlite3.Connection):
    points: CrashPoints

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._work = Work.NOTHING
        row = super().execute("PRAGMA database_list").fetchone()
        self._file = Path(row[2])

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if sql.startswith("BEGIN"):
            self._work = Work.NOTHING
            points = self.points
            (points.journal_begins if self._file.name == "journal.db" else points.catalogue_begins)()
        if sql == "COMMIT":
            return self._commit()
        return self._run(sql, partial(super().execute, sql, parameters), rows=True)

    def executemany(self, sql: str, parameters: Iterable[Any]) -> sqlite3.Cursor:
        rows = list(parameters)
        return self._run(sql, partial(super().executemany, sql, rows), rows=bool(rows))

    def _run(self, sql: str, run: Callable[[], sqlite3.Cursor], *, rows: bool) -> sqlite3.Cursor:
        told = [work for start, work in _TELLING.items() if rows and sql.lstrip().startswith(start)]
        if not told or (told[0] is Work.FORGET and self._work is Work.APPEND):
            return run()
        self._work = told[0]
        if self.points.take(self._work, Harm.ERROR_INSIDE) is None:
            return run()
        self.set_progress_handler(lambda: 1, 1)  # SQLite itself stops the statement: "interrupted"
        try:
            return run()
        finally:
            self.set_progress_handler(None, 0)

    def _commit(self) -> sqlite3.Cursor:
        points, work = self.points, self._work
        if points.take(work, Harm.ERROR_BEFORE_COMMIT):
            raise sqlite3.OperationalError("disk I/O error")
        if points.take(work, Harm.CRASH_BEFORE_COMMIT):
            points.wreck = points.copy_files(self._file.parent)
        wal = self._file.with_name(f"{self._file.name}-wal")
        size_before = wal.stat().st_size if wal.exists() else 0
        done = super().execute("COMMIT")
        points.commits[work] += 1
        if crash := points.take(work, Harm.CRASH_INSIDE_COMMIT, Harm.CRASH_AFTER_COMMIT):
            points.wreck = points.copy_files(self._file.parent)
            if crash is Harm.CRASH_INSIDE_COMMIT:
                _tear(points.wreck / wal.name, size_before)
        if points.take(work, Harm.ERROR_AFTER_COMMIT):
            raise sqlite3.OperationalError("disk I/O error")
        return done


def _tear(wal: Path, size_before: int) -> None:
    """Cut the log in the middle of what the last commit appended to it."""
    size = wal.stat().st_size
    if size > size_before:
        with wal.open("r+b") as file:
            file.truncate((size_before + size) // 2)
