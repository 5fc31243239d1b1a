"""Shared commits: many callers, one transaction; what fails is undone alone."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from other_process import write_lock
from server_process import wait_until
from sqlalchemy import text

from afterwrite.base.store_errors import StoreUnavailable
from afterwrite.storage.commits import Commits
from afterwrite.storage.driver import DriverConnection, DriverStatement
from afterwrite.storage.sqlite.engine import open_writer
from afterwrite.storage.sqlite.opened_file import OpenedFile

WAIT_SECONDS = 30
ADD = DriverStatement(text("INSERT INTO numbers VALUES (:number)"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with a table of numbers."""
    path = tmp_path / "numbers.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY CHECK (number < 1000))")
    return path


class Counted:
    """Commits, and how many transactions there were."""

    def __init__(self, path: Path) -> None:
        self._path, self.transactions = path, 0
        self.commits = Commits(self._connect)

    def _connect(self) -> DriverConnection:
        connection = open_writer(OpenedFile(self._path))
        connection._raw.set_trace_callback(self._count)
        return connection

    def _count(self, statement: str) -> None:
        self.transactions += statement == "COMMIT"


@pytest.fixture
def counted(path: Path) -> Iterator[Counted]:
    """Commits over the numbers."""
    found = Counted(path)
    yield found
    found.commits.close()


def add(connection: DriverConnection, number: int) -> int:
    assert ADD.run(connection, {"number": number}) == 1
    return number


def stored(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]


def together(counted: Counted, numbers: list[int]) -> list[int | BaseException]:
    """What came of adding the numbers, all of which had come while the first transaction was under way."""
    held, go_on = threading.Event(), threading.Event()

    def hold(_connection: DriverConnection) -> None:
        held.set()
        assert go_on.wait(WAIT_SECONDS)

    def run(number: int) -> int | BaseException:
        try:
            return counted.commits.run(lambda connection: add(connection, number))
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            return error

    with ThreadPoolExecutor(len(numbers) + 1) as pool:
        holder = pool.submit(counted.commits.run, hold)
        assert held.wait(WAIT_SECONDS)
        running = [pool.submit(run, number) for number in numbers]
        wait_until(lambda: len(counted.commits._group._open.items) == len(numbers))
        go_on.set()
        holder.result()
        return [future.result() for future in running]


def test_callers_that_wait_share_one_commit_and_each_gets_its_own_result(counted: Counted, path: Path) -> None:
    numbers = list(range(10))
    assert together(counted, numbers) == numbers
    assert stored(path) == numbers
    assert counted.transactions == 2


def test_what_fails_is_undone_alone(counted: Counted, path: Path) -> None:
    came = together(counted, [1, 5000, 2, 1])
    assert came[2] == 2
    assert sum(isinstance(one, Exception) for one in came) == 2
    assert stored(path) == [1, 2]


def test_a_database_that_cannot_be_used_fails_all_at_once_and_works_again_later(counted: Counted, path: Path) -> None:
    with write_lock(path), pytest.raises(StoreUnavailable, match="database is locked"):
        counted.commits.run(lambda connection: add(connection, 1))
    assert counted.commits.run(lambda connection: add(connection, 1)) == 1
    assert stored(path) == [1]
