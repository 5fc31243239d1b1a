"""Product file reader: JSON array, JSONL or CSV as a stream of rows, in bounded memory."""

import json
import re
from collections.abc import Collection, Iterator
from enum import StrEnum
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self

from afterwrite.loading.csv_rows import csv_rows
from afterwrite.loading.json_elements import LISTS, MOST_WRAPPERS, JsonSyntaxError, NoListError, elements
from afterwrite.loading.jsonl_lines import jsonl_rows
from afterwrite.loading.rows import CatalogueFileError, Row, UnreadableRow, not_an_object
from afterwrite.loading.text_blocks import TextFile
from afterwrite.resources.feed_fields import KNOWN_NAMES, FeedReader
from afterwrite.resources.feed_numbers import DecimalSign


class Format(StrEnum):
    """The format of a product file."""

    JSON = "JSON"
    JSONL = "JSONL"
    CSV = "CSV"


class CatalogueFile:
    """A product file, read once from start to end.

    The format: .csv and .tsv are CSV; content that starts with ``[`` is a JSON array; content with a whole object on
    its first line is JSONL, except ``{"products": [...]}`` and the like; other content that starts with ``{`` is an
    object around that array. ``decimal`` is the decimal separator of ambiguous numbers; without it, the first such
    number makes the reader scan the whole file for unambiguous ones. ``ask`` tells the user how to give it.
    """

    def __init__(
        self, path: Path, decimal: DecimalSign | None = None, ask: str = "say which it is, point or comma"
    ) -> None:
        """Open the file; raises TextFileError."""
        self.path = path
        self._has_rows = False
        self._reader = FeedReader(decimal, partial(_signs_in, path), ask)
        self.file = TextFile(path)
        self._blocks = self.file.blocks()
        try:
            first = next(self._blocks, "")
        except BaseException:
            self.close()
            raise
        self.format = _format_of(path, first)
        self._blocks = chain((first,), self._blocks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self.file.close()

    def rows(self) -> Iterator[Row]:
        """Every row with its line and its fields for the check of a new product, or an UnreadableRow.

        Raises TextFileError if the rest cannot be split into rows (wrong encoding, a syntax error in a JSON array, an
        unclosed quote in CSV), and for an ambiguous number if nothing in the file reveals the decimal separator.
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
        """The decimal separator that was given or detected; None as long as none was needed."""
        return self._reader.decimal

    def read_through(self) -> None:
        """Check that every row can be read; raises TextFileError as ``rows`` does. Does not consume a pipe."""
        if self.path.is_file():
            for _ in self.rows():
                pass

    def notes(self) -> list[str]:
        """What was ignored in the rows read so far, one sentence for each kind; or that there are no rows."""
        if self._has_rows:
            return self._reader.notes()
        below = "rows below the header" if self.format is Format.CSV else "products in the file"
        return [f"There are no {below}", *self._reader.notes()]


def _signs_in(path: Path) -> Collection[DecimalSign]:
    """The decimal separators used in the whole file; empty for a pipe, which can be read only once."""
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
                yield line, reader.fields(item) if isinstance(item, dict) else not_an_object(item)
    except NoListError as error:
        raise CatalogueFileError(f"{path}: {error}") from error
    except JsonSyntaxError as error:
        raise CatalogueFileError(f"{path} is not a JSON array of products: {error}: correct the file") from error


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
    # One object without product fields: its list may have an unknown name.
    return not KNOWN_NAMES.isdisjoint(first) or bool(rest and rest[0].strip())


def _has_list(item: dict[str, Any], depth: int = 1) -> bool:
    inner = [item[name] for name in LISTS if name in item] if depth <= MOST_WRAPPERS else []
    return any(isinstance(one, list) or (isinstance(one, dict) and _has_list(one, depth + 1)) for one in inner)
