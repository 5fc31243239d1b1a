"""Takes the rows of a table a chunk at a time, and sums them up: how many there are, and a checksum of them."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

Row = tuple[Any, ...]
Told = Callable[[int], None]
_CHUNK_ROWS = 10_000
_CHUNK_CHARACTERS = 8_000_000
# Texts as they are, floats as the shortest text that reads back as the same one.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Summary(NamedTuple):
    """How many rows a table has, and their checksum (``Checksum``)."""

    rows: int
    checksum: str


class Checksum:
    """The checksum of a table: SHA-256 of the canonical text of its rows, given in the order of their keys.

    The canonical text of a row is the JSON array of its values in the order of the columns, without spaces, in UTF-8; a
    comma follows each row. So it is the same whatever database the rows come from, and in whatever chunks.
    """

    def __init__(self) -> None:
        self._rows, self._hash = 0, hashlib.sha256()

    def add(self, rows: Sequence[Row]) -> None:
        """Add the next rows."""
        if rows:
            self._hash.update(f"{_encode(rows)[1:-1]},".encode())
            self._rows += len(rows)

    def summary(self) -> Summary:
        """What was added so far."""
        return Summary(self._rows, self._hash.hexdigest())


def summarize(rows: Iterable[Row], told: Told) -> Summary:
    """Sum rows up; ``told`` is called with how many more were."""
    checksum = Checksum()
    for chunk in chunks(rows):
        checksum.add(chunk)
        told(len(chunk))
    return checksum.summary()


def chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in lists of 10,000 at the most, or fewer where they are long: memory does not grow with a table."""
    chunk: list[Row] = []
    characters = 0
    for row in rows:
        chunk.append(row)
        characters += sum(len(value) for value in row if type(value) is str)
        if len(chunk) == _CHUNK_ROWS or characters >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
