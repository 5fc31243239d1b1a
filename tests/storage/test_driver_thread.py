"""A transaction in the driver's thread: one trip, whole also where its caller is cancelled."""

import asyncio
import sqlite3
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from afterwrite.storage.sqlite.driver_thread import in_driver_thread
from afterwrite.storage.sqlite.many_rows import insert_statements

MANY = [(number, f"{number}") for number in range(77)]


def in_loop(path: Path, test: Any) -> None:
    async def run() -> None:
        async with aiosqlite.connect(path, isolation_level=None) as connection:
            await connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, name TEXT)")
            await test(connection)

    asyncio.run(run())


def add(count: int, then: threading.Event | None = None, begun: threading.Event | None = None) -> Any:
    async def work(db: aiosqlite.Connection) -> list[Any]:
        await db.execute("BEGIN IMMEDIATE")
        for statement, values in insert_statements("rows (id, name)", MANY[:count]):
            await db.execute(statement, values)
        if begun is not None and then is not None:
            begun.set()
            assert then.wait(30)
        await db.execute("COMMIT")
        return list(await db.execute_fetchall("SELECT count(*), max(name) FROM rows"))

    return work


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 77])
def test_all_rows_are_inserted(tmp_path: Path, count: int) -> None:
    async def test(connection: aiosqlite.Connection) -> None:
        assert await in_driver_thread(connection, add(count)) == [
            (count, max((n for _, n in MANY[:count]), default=None))
        ]

    in_loop(tmp_path / "a.db", test)


def test_it_runs_to_its_end_where_the_caller_is_cancelled(tmp_path: Path) -> None:
    async def test(connection: aiosqlite.Connection) -> None:
        begun, go_on = threading.Event(), threading.Event()
        waiting = asyncio.ensure_future(in_driver_thread(connection, add(3, go_on, begun)))
        await asyncio.to_thread(begun.wait, 30)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go_on.set()
        assert list(await connection.execute_fetchall("SELECT count(*) FROM rows")) == [(3,)]
        assert not connection.in_transaction

    in_loop(tmp_path / "a.db", test)


def test_errors_arrive_and_nothing_else_may_be_waited_for(tmp_path: Path) -> None:
    async def fails(db: aiosqlite.Connection) -> None:
        await db.execute("INSERT INTO rows VALUES (1, 2, 3)")

    async def waits(_db: aiosqlite.Connection) -> None:
        await asyncio.sleep(0)

    async def test(connection: aiosqlite.Connection) -> None:
        with pytest.raises(sqlite3.OperationalError, match="3 values"):
            await in_driver_thread(connection, fails)
        with pytest.raises(RuntimeError, match="waited"):
            await in_driver_thread(connection, waits)
        working: Coroutine[Any, Any, Any] = in_driver_thread(connection, add(1))
        assert await working == [(1, "0")]

    in_loop(tmp_path / "a.db", test)
