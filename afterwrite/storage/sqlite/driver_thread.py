"""Runs a whole transaction in the driver's thread: a trip there costs more than most statements."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar, cast

import aiosqlite

T = TypeVar("T")


async def in_driver_thread(
    connection: aiosqlite.Connection, work: Callable[[aiosqlite.Connection], Coroutine[Any, Any, T]]
) -> T:
    """Run ``work`` to its end in the connection's thread, and return its result.

    It gets a connection with the same calls, which are done when they return: it may wait for nothing else. Where the
    caller is cancelled, it still runs to its end, before anything that comes after it on the connection.
    """
    inside = cast(aiosqlite.Connection, _Inside(connection))
    run: Any = connection._execute
    return cast(T, await run(lambda: _finished(work(inside))))


class _Inside:
    """A connection inside its own thread."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._raw = connection._conn

    async def execute(self, statement: str, values: Iterable[Any] = ()) -> None:
        self._raw.execute(statement, values)  # type: ignore[arg-type]

    async def executemany(self, statement: str, many_values: Iterable[Iterable[Any]]) -> None:
        self._raw.executemany(statement, many_values)  # type: ignore[arg-type]

    async def execute_fetchall(self, statement: str, values: Iterable[Any] = ()) -> list[Any]:
        return self._raw.execute(statement, values).fetchall()  # type: ignore[arg-type]


def _finished(work: Coroutine[Any, Any, T]) -> T:
    try:
        work.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    work.close()
    raise RuntimeError("A transaction waited for something else than its connection")
