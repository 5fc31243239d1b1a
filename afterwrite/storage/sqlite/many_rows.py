"""Inserts many rows with few statements: SQLite gives up the interpreter lock at each one, and gets it back late."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

_ROWS_AT_ONCE = 32


def insert_statements(into: str, rows: Sequence[Sequence[Any]], then: str = "") -> Iterator[tuple[str, Sequence[Any]]]:
    """The statements, each with its values, that insert the rows; ``into`` names table and columns.

    ``then`` follows the rows, such as ``ON CONFLICT DO NOTHING``.
    """
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE]
        yield _statement(into, len(some), len(some[0]), then), list(chain.from_iterable(some))


@lru_cache(maxsize=1024)
def _statement(into: str, rows: int, columns: int, then: str) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT INTO {into} VALUES {', '.join([row] * rows)} {then}".rstrip()  # noqa: S608 - names of ours
