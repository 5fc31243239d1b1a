"""Takes the rows of a table a chunk at a time, and sums them up: how many there are, and a checksum of them."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from afterwrite.storage.driver import encode_rows

Row = tuple[Any, ...]
Report = Callable[[int], None]
_CHUNK_ROWS = 10_000
_CHUNK_CHARACTERS = 8_000_000


class Summary(NamedTuple):
    """How many rows a table has, and their checksum (``summarize``)."""

    rows: int
    checksum: str


def summarize(rows: Iterable[Row], report: Report) -> Summary:
    """Sum rows up, given in the order of their keys; ``report`` is called with how many more were read.

    The checksum is SHA-256 of the canonical text of the rows: of each row the JSON array of its values in the order of
    the columns, without spaces, in UTF-8, and a comma. It is the same whatever database the rows come from.
    """
    count, digest = 0, hashlib.sha256()
    for chunk in chunks(rows):
        # Texts as they are, floats as the shortest text that reads back as the same one.
        digest.update(f"{encode_rows(chunk)[1:-1]},".encode())
        count += len(chunk)
        report(len(chunk))
    return Summary(count, digest.hexdigest())


def chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in lists of at most 10,000, or fewer where they are long: memory does not grow with a table."""
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
