"""Reader of a file of records: JSON array, JSONL or CSV as a stream of rows, in bounded memory."""

import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, Self

from afterwrite.loading.csv_rows import csv_parts, csv_rows
from afterwrite.loading.json_elements import MOST_WRAPPERS, JsonSyntaxError, NoListError, Run, elements, runs
from afterwrite.loading.jsonl_lines import jsonl_parts, jsonl_rows
from afterwrite.loading.rows import Part, RecordFileError, Row, UnreadableRow, not_an_object
from afterwrite.loading.text_blocks import TextFile
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.feed_columns import FeedColumns
from afterwrite.resources.feed_fields import FeedReader
from afterwrite.resources.feed_names import FeedNames
from afterwrite.resources.feed_numbers import DecimalSign

_PART_ROWS = 500


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
        self.path, self.resource = path, resource
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
        return map(self._seen, self._rows(self._reader))

    def parts(self) -> Iterator[Part]:
        """The same rows in parts of some hundred, the ordinary ones read and checked by column.

        Raises as ``rows`` does, which must not be used beside it.
        """
        for part in self._parts(FeedColumns(self._reader)):
            if part.stored:
                self._has_rows = self._has_rows or any(values is not None for values in part.stored)
                yield Part(part.stored, partial(self._row_of, part))

    def _parts(self, columns: FeedColumns) -> Iterator[Part]:
        if self.format is Format.JSON:
            return _array_parts(self.path, self._blocks, self._reader, columns)
        if self.format is Format.CSV:
            return csv_parts(self.path, self._blocks, self._reader, columns)
        return jsonl_parts(self.path, self._blocks, self._reader, columns)

    def _row_of(self, part: Part, place: int) -> Row | None:
        row = part.row(place)
        return None if row is None else self._seen(row)

    def _seen(self, row: Row) -> Row:
        self._has_rows = True
        if self._reader.values.doubt:
            raise RecordFileError(f"{self.path}, line {row[0]}: {self._reader.values.doubt}")
        return row

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
    with _errors_of_array(path, reader.names):
        for line, item in elements(blocks, reader.names.lists):
            yield _element_row(line, item, reader)


def _array_parts(path: Path, blocks: Iterator[str], reader: FeedReader, columns: FeedColumns) -> Iterator[Part]:
    single: list[tuple[int, Any]] = []
    with _errors_of_array(path, reader.names):
        found = runs(blocks, reader.names.lists, columns)
        while True:
            try:
                one = next(found, None)
            except (NoListError, JsonSyntaxError):
                yield _part_of_elements(single, reader)
                raise
            if isinstance(one, Run) or one is None or len(single) >= _PART_ROWS:
                yield _part_of_elements(single, reader)
                single = []
            if one is None:
                return
            if isinstance(one, Run):
                yield _part_of_run(one, reader)
            else:
                single.append(one)


def _part_of_elements(found: list[tuple[int, Any]], reader: FeedReader) -> Part:
    return Part([None] * len(found), lambda place: _element_row(*found[place], reader))


def _part_of_run(run: Run, reader: FeedReader) -> Part:
    @cache
    def one_by_one() -> list[tuple[int, Any]]:
        return list(elements(iter((f"[{run.text}]",)), ()))

    def row(place: int) -> Row:
        line, item = one_by_one()[place]
        return _element_row(run.line + line - 1, item, reader)

    return Part(run.stored, row)


def _element_row(line: int, item: Any, reader: FeedReader) -> Row:
    if isinstance(item, UnreadableRow):
        return line, item
    return line, reader.fields(item) if isinstance(item, dict) else not_an_object(item, reader.names)


@contextmanager
def _errors_of_array(path: Path, names: FeedNames) -> Iterator[None]:
    try:
        yield
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
