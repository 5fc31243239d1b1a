"""Reads a product file (a JSON array, JSONL or CSV) as a stream of rows, in bounded memory."""

import json
import re
from collections.abc import Collection, Iterator
from enum import StrEnum
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from afterwrite.loading.csv_rows import csv_rows
from afterwrite.loading.json_elements import LISTS, MOST_WRAPPERS, JsonSyntaxError, NoListError, elements
from afterwrite.loading.jsonl_lines import jsonl_rows
from afterwrite.loading.rows import CatalogueFileError, Row, UnreadableRow, no_object
from afterwrite.loading.text_blocks import TextFile
from afterwrite.resources.feed_fields import KNOWN_NAMES, FeedReader
from afterwrite.resources.feed_numbers import DecimalSign


class Format(StrEnum):
    """How a product file is written."""

    JSON = "JSON"
    JSONL = "JSONL"
    CSV = "CSV"


class CatalogueFile:
    """One product file, read once from start to end.

    The format follows the content, and the extension where the content allows two: .csv and .tsv are CSV,
    a file that starts with ``[`` is a JSON array, one that starts with a whole object on its first line is
    JSONL (except ``{"products": [...]}`` and its like), any other one with ``{`` in front is an object with that
    array. ``decimal`` is the decimal sign of numbers that alone cannot tell it; without one the file is read
    once more, at the first of them, for what its other numbers show. ``ask`` says how a user tells the sign.
    """

    def __init__(
        self, path: Path, decimal: DecimalSign | None = None, ask: str = "say which it is, point or comma"
    ) -> None:
        """Open the file; raises TextFileError."""
        self.path = path
        self._has_rows = False
        self._reader = FeedReader(decimal, partial(_signs_shown, path), ask)
        self._source = TextFile(path)
        self._blocks = self._source.blocks()
        try:
            first = next(self._blocks, "")
        except BaseException:
            self.close()
            raise
        self.format = _format_of(path, first)
        self._blocks = chain((first,), self._blocks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._source.close()

    @property
    def size_bytes(self) -> int:
        """The length of the file when it was opened."""
        return self._source.size_bytes

    @property
    def bytes_read(self) -> int:
        """How far reading has come."""
        return self._source.bytes_read

    def rows(self) -> Iterator[Row]:
        """Every row with the line it starts on and its fields as ``product.check_fields`` takes them.

        A row that is no product comes as an UnreadableRow. Raises TextFileError where the rest cannot be
        told apart into rows: wrong encoding, a syntax error in a JSON array, an open quote in CSV; and where a number
        is in doubt, because nothing in the file shows the decimal sign.
        """
        for row in self._rows(self._reader):
            self._has_rows = True
            if self._reader.doubt:
                raise CatalogueFileError(f"{self.path}, line {row[0]}: {self._reader.doubt}")
            yield row

    def _rows(self, reader: FeedReader) -> Iterator[Row]:
        if self.format is Format.JSON:
            return _array_rows(self.path, self._blocks, reader)
        if self.format is Format.CSV:
            return csv_rows(self.path, self._blocks, reader)
        return jsonl_rows(self.path, self._blocks, reader)

    @property
    def decimal(self) -> DecimalSign | None:
        """The decimal sign that was told, or that was found since; None as long as none was needed."""
        return self._reader.decimal

    def read_through(self) -> None:
        """Read every row; raises TextFileError where ``rows`` does. What can be read once only, as a pipe, is left."""
        if self.path.is_file():
            for _ in self.rows():
                pass

    def notes(self) -> list[str]:
        """What of the rows read so far was left out, a sentence for each kind; or that there are none."""
        if self._has_rows:
            return self._reader.notes()
        below = "rows below the header" if self.format is Format.CSV else "products in the file"
        return [f"There are no {below}", *self._reader.notes()]


def _signs_shown(path: Path) -> Collection[DecimalSign]:
    """The decimal signs that the numbers of a whole file show; none of one that can be read once only."""
    if not path.is_file():
        return ()
    with CatalogueFile(path) as source:
        reader = FeedReader()
        for _ in source._rows(reader):
            pass
    return reader.seen_signs


def _array_rows(path: Path, blocks: Iterator[str], reader: FeedReader) -> Iterator[Row]:
    try:
        for line, item in elements(blocks):
            if isinstance(item, UnreadableRow):
                yield line, item
            else:
                yield line, reader.fields(item) if isinstance(item, dict) else no_object(item)
    except NoListError as error:
        raise CatalogueFileError(f"{path}: {error}") from error
    except JsonSyntaxError as error:
        raise CatalogueFileError(
            f"{path} is not a JSON array of products: {error}: correct the file"
        ) from error


def _format_of(path: Path, text: str) -> Format:
    extension = path.suffix.lower()
    start = text.lstrip()[:1]
    if extension in (".csv", ".tsv"):
        return Format.CSV
    if start == "[":
        return Format.JSON
    if extension in (".jsonl", ".ndjson") or not start:
        return Format.JSONL
    if start == "{":
        return Format.JSONL if _starts_with_product_line(text) else Format.JSON
    return Format.JSON if extension == ".json" else Format.CSV


def _starts_with_product_line(text: str) -> bool:
    try:
        line, *rest = re.split("[\r\n]", text.lstrip(), maxsplit=1)
        first = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(first, dict) or _has_list(first):
        return isinstance(first, dict) and "price" in first
    # One object without any product field: its list may stand under a name that is not in the table.
    return not KNOWN_NAMES.isdisjoint(first) or bool(rest and rest[0].strip())


def _has_list(item: dict[str, Any], depth: int = 1) -> bool:
    inner = [item[name] for name in LISTS if name in item] if depth <= MOST_WRAPPERS else []
    return any(
        isinstance(one, list) or (isinstance(one, dict) and _has_list(one, depth + 1)) for one in inner
    )
