"""Reader of a file of records: JSON array, JSONL or CSV as a stream of rows, in bounded memory."""

import json
import re
from collections.abc import Collection, Iterator
from enum import StrEnum
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self

from afterwrite.loading.csv_rows import csv_rows
from afterwrite.loading.json_elements import MOST_WRAPPERS, JsonSyntaxError, NoListError, elements
from afterwrite.loading.jsonl_lines import jsonl_rows
from afterwrite.loading.rows import RecordFileError, Row, UnreadableRow, not_an_object
from afterwrite.loading.text_blocks import TextFile
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.feed_fields import FeedReader
from afterwrite.resources.feed_names import FeedNames
from afterwrite.resources.feed_numbers import DecimalSign


class Format(StrEnum):
    """The format of a file of records."""

    JSON = "JSON"
    JSONL = "JSONL"
    CSV = "CSV"


class RecordFile:
    """A file of records of one resource, read once from start to end.

    The format: .csv and .tsv are CSV; content that starts with ``[`` is a JSON array; content with a whole object on
    its first line is JSONL, except ``{"products": [...]}`` and the like; other content that starts with ``{`` is an
    object around that array. ``decimal`` is the decimal separator of ambiguous numbers; without it, the first such
    number makes the reader scan the whole file for unambiguous ones. ``ask`` tells the user how to give it.
    """

    def __init__(
        self,
        resource: CompiledResource,
        path: Path,
        decimal: DecimalSign | None = None,
        ask: str = "say which it is, point or comma",
    ) -> None:
        """Open the file; raises TextFileError."""
        self.path = path
        self._has_rows = False
        self._reader = FeedReader(resource, decimal, partial(_signs_in, resource, path), ask)
        self.file = TextFile(path)
        self._blocks = self.file.blocks()
        try:
            first = next(self._blocks, "")
        except BaseException:
            self.close()
            raise
        self.format = _format_of(path, first, self._reader.names)
        self._blocks = chain((first,), self._blocks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self.file.close()

    def rows(self) -> Iterator[Row]:
        """Every row with its line and its fields for the check of a new record, or an UnreadableRow.

        Raises TextFileError if the rest cannot be split into rows (wrong encoding, a syntax error in a JSON array, an
        unclosed quote in CSV), and for an ambiguous number if nothing in the file reveals the decimal separator.
        """
        for row in self._rows(self._reader):
            self._has_rows = True
            if self._reader.values.doubt:
                raise RecordFileError(f"{self.path}, line {row[0]}: {self._reader.values.doubt}")
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
        return self._reader.values.decimal

    def read_through(self) -> None:
        """Check that every row can be read; raises TextFileError as ``rows`` does. Does not consume a pipe."""
        if self.path.is_file():
            for _ in self.rows():
                pass

    def notes(self) -> list[str]:
        """What was ignored in the rows read so far, one sentence for each kind; or that there are no rows."""
        if self._has_rows:
            return self._reader.notes()
        below = "rows below the header" if self.format is Format.CSV else f"{self._reader.names.nouns} in the file"
        return [f"There are no {below}", *self._reader.notes()]


def _signs_in(resource: CompiledResource, path: Path) -> Collection[DecimalSign]:
    """The decimal separators used in the whole file; empty for a pipe, which can be read only once."""
    if not path.is_file():
        return ()
    with RecordFile(resource, path) as source:
        reader = FeedReader(resource)
        for _ in source._rows(reader):
            pass
    return reader.values.seen_signs


def _array_rows(path: Path, blocks: Iterator[str], reader: FeedReader) -> Iterator[Row]:
    names = reader.names
    try:
        for line, item in elements(blocks, names.lists):
            if isinstance(item, UnreadableRow):
                yield line, item
            else:
                yield line, reader.fields(item) if isinstance(item, dict) else not_an_object(item, names)
    except NoListError as error:
        where = ", ".join(names.lists)
        raise RecordFileError(f"{path}: no list of {names.nouns} was found: it may stand under {where}") from error
    except JsonSyntaxError as error:
        raise RecordFileError(f"{path} is not a JSON array of {names.nouns}: {error}: correct the file") from error


def _format_of(path: Path, text: str, names: FeedNames) -> Format:
    extension = path.suffix.lower()
    start = text.lstrip()[:1]
    if extension in (".csv", ".tsv"):
        return Format.CSV
    if start == "[":
        return Format.JSON
    if extension in (".jsonl", ".ndjson") or not start:
        return Format.JSONL
    if start == "{":
        return Format.JSONL if _starts_with_record_line(text, names) else Format.JSON
    return Format.JSON if extension == ".json" else Format.CSV


def _starts_with_record_line(text: str, names: FeedNames) -> bool:
    try:
        line, *rest = re.split("[\r\n]", text.lstrip(), maxsplit=1)
        first = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(first, dict):
        return False
    is_known = not names.known.isdisjoint(first)
    if _has_list(first, names.lists):
        return is_known and not names.missing(first)
    # One object without a known name: its list may have an unknown one.
    return is_known or bool(rest and rest[0].strip())


def _has_list(item: dict[str, Any], lists: Collection[str], depth: int = 1) -> bool:
    inner = [item[name] for name in lists if name in item] if depth <= MOST_WRAPPERS else []
    return any(isinstance(one, list) or (isinstance(one, dict) and _has_list(one, lists, depth + 1)) for one in inner)
