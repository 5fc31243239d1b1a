"""CSV reader: a header row; commas, semicolons or tabs; quoted as spreadsheets quote."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from afterwrite.base.counts import counted
from afterwrite.loading.json_elements import LONGEST_VALUE
from afterwrite.loading.jsonl_lines import line_blocks
from afterwrite.loading.rows import Part, RecordFileError, Row, UnreadableRow
from afterwrite.loading.spreadsheet_cells import export_format, json_value, trimmed
from afterwrite.resources.feed_columns import FeedColumns, Group, Stored
from afterwrite.resources.feed_fields import FeedReader
from afterwrite.resources.feed_names import FeedNames

_QUOTED = re.compile(r'"[^"]*"?')
_FIRST_LINE = re.compile(r'((?:[^"\r\n]|"[^"]*")*)(\r\r\n|\r\n|\r|\n|$)')
# Excel's first line may name the delimiter (`sep=;`) instead of holding a row.
_NAMED_DELIMITER = re.compile(r"sep=([^\r\n\"])[ ,;\t]*(\r\r\n|\r\n|\r|\n)", re.IGNORECASE)
_PART_ROWS = 500
_SEPARATORS = ",;\t"
# The csv module ends a row at a lone CR. These stand-ins cannot occur in a UTF-8 file.
_STRAY = {"\r": "\udc0d", "\n": "\udc0a"}


def csv_rows(path: Path, blocks: Iterator[str], reader: FeedReader) -> Iterator[Row]:
    """Every row after the header; blank rows are skipped.

    Raises RecordFileError for a header without the needed fields, a duplicate column, or an unclosed quote, after
    which rows cannot be separated.
    """
    for line, columns, cells in _csv_rows(path, blocks, reader):
        yield line, columns.row(cells)


def csv_parts(path: Path, blocks: Iterator[str], reader: FeedReader, columns: FeedColumns) -> Iterator[Part]:
    """The same rows in parts."""
    found = _csv_rows(path, blocks, reader)
    batch: list[tuple[int, _Columns, list[str]]] = []
    while True:
        try:
            one = next(found, None)
        except RecordFileError:
            yield _part(batch, columns)  # an earlier row may have another error
            raise
        if one is None or len(batch) >= _PART_ROWS:
            yield _part(batch, columns)
            batch = []
        if one is None:
            return
        batch.append(one)


def _part(batch: list[tuple[int, "_Columns", list[str]]], columns: FeedColumns) -> Part:
    def row(place: int) -> Row:
        line, head, cells = batch[place]
        return line, head.row(cells)

    return Part(batch[0][1].stored([cells for _, _, cells in batch], columns) if batch else [], row)


def _csv_rows(path: Path, blocks: Iterator[str], reader: FeedReader) -> Iterator[tuple[int, "_Columns", list[str]]]:
    start = next(blocks, "")
    named = _NAMED_DELIMITER.match(start)
    if named is not None:
        start = start[named.end() :]
    strays = set[str]()
    texts = _lines(path, chain((start,), blocks), _line_end(start, named, reader.names), strays)
    skipped, header = _header_line(texts)
    skipped += named is not None
    # Validation refuses long cells, not the reader.
    csv.field_size_limit(LONGEST_VALUE)
    delimiter = named[1] if named else _delimiter(header)
    # Strict: an unclosed quote is an error and does not swallow the rest of the file.
    rows = csv.reader(chain((header,), texts), delimiter=delimiter, strict=True)
    reader.values.has_semicolons = delimiter == ";"
    line = skipped + 1
    try:
        columns = _Columns(path, header, next(rows, []), reader)
        line = skipped + rows.line_num + 1
        for cells in rows:
            if any(map(str.strip, cells)):
                yield line, columns, [_restored(cell) for cell in cells] if strays else cells
            line = skipped + rows.line_num + 1
    except csv.Error as error:
        raise RecordFileError(
            f"{path} cannot be read from line {line} on: {error}: look for an open quote or a cell of over "
            f"{LONGEST_VALUE:,} characters"
        ) from error


class _Columns:
    """The columns of a file, mapped to the names of fields."""

    def __init__(self, path: Path, header: str, heads: list[str], reader: FeedReader) -> None:
        names = reader.names
        self._reader, self._heads = reader, heads
        self._names = [names.column(head) for head in heads]
        self._require_usable(path, header)
        self._reads = [_cell_reader(name, names) for name in self._names]
        self._defaults = names.with_default.intersection(self._names)
        export = export_format(reader.resource)
        self._export = export if export.is_of(heads) else None
        for head, found in zip(heads, self._names, strict=True):
            if head.strip() and (found is None or (self._export and head not in names.own)):
                reader.ignore(head.strip())

    def _require_usable(self, path: Path, header: str) -> None:
        names = self._reader.names
        if not header:
            raise RecordFileError(f"{path} is empty: give a header row and a row for each {names.noun}")
        missing = names.missing(self._names) or ([] if any(self._names) else sorted(names.own))
        if missing:
            raise RecordFileError(
                f"{path} has no column {' and '.join(missing)} in its first line {header.strip()[:200]!r}: "
                "give a header row"
            )
        for name in filter(None, self._names):
            if self._names.count(name) > 1:
                given = zip(self._heads, self._names, strict=True)
                same = [head.strip() for head, found in given if found == name]
                raise RecordFileError(
                    f"{path} gives {name} in {len(same)} columns ({', '.join(same)[:200]}): keep one of them"
                )

    def row(self, cells: list[str]) -> dict[str, Any] | UnreadableRow:
        """The fields of a row."""
        if len(cells) != len(self._names):
            return UnreadableRow(f"{counted(len(cells), 'field')}, but the header has {len(self._names)}")
        if self._export:
            return self._reader.exported_fields(self._export.from_cells(self._heads, cells))
        given = zip(self._names, self._reads, cells, strict=True)
        values = {name: read(cell) for name, read, cell in given if name}
        for name in self._defaults:
            if values[name] is None:
                del values[name]
        return self._reader.fields(values)

    def stored(self, rows: list[list[str]], columns: FeedColumns) -> list[Stored]:
        """The stored values of rows that are ordinary, None for the others."""
        places = [place for place, cells in enumerate(rows) if len(cells) == len(self._names)]
        if self._export or not places:
            return [None] * len(rows)
        cells = dict(zip(self._names, zip(*[rows[place] for place in places], strict=True), strict=True))
        text = "".join(map("".join, cells.values()))
        values = {
            name: _values(cells[name], read, text) for name, read in zip(self._names, self._reads, strict=True) if name
        }
        group = Group(places, tuple(values), values)
        return columns.stored([group], len(rows), text.isascii() and text.isprintable())


def _values(cells: Sequence[str], read: Callable[[str], Any], text: str) -> Sequence[Any]:
    """The values in the cells of a column; ``text`` has all characters of these rows."""
    is_simple = read is _text or (read is _text_or_object and "{" not in text and "[" not in text)
    if not is_simple or "'" in text:
        return list(map(read, cells))
    texts = list(map(str.strip, cells))
    return [one or None for one in texts] if "" in texts else texts


def _cell_reader(name: str | None, names: FeedNames) -> Callable[[str], Any]:
    """The function that reads a cell of a column: null if empty; of Json it is JSON, of objects and URLs it may be."""
    if name in names.json_columns:
        return lambda cell: json_value(name, text) if (text := trimmed(cell)) else None
    return _text_or_object if name in names.object_columns else _text


def _text(cell: str) -> str | None:
    return trimmed(cell) or None


def _text_or_object(cell: str) -> Any:
    text = trimmed(cell)
    if text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text  # validation refuses it with its value
    return text or None


def _line_end(start: str, named: re.Match[str] | None, names: FeedNames) -> str:
    """The line ending of the file: LF (alone or after CR), unless the header ends otherwise.

    ``named`` is the preceding line that names the delimiter; it has the same ending.
    """
    if named is not None:
        return named[2] if named[2] in ("\r", "\r\r\n") else "\n"
    first = _FIRST_LINE.match(start.lstrip())
    if first is not None and first[2] in ("\r", "\r\r\n") and _is_header(first[1], names):
        return first[2]
    return "\n"


def _lines(path: Path, blocks: Iterator[str], end: str, strays: set[str]) -> Iterator[str]:
    """The lines for the csv module; a CR or LF inside a line is replaced by a stand-in and noted in ``strays``."""
    for _, lines in line_blocks(path, blocks, end):
        for line in lines:
            kept = "\r" if end == "\n" and line[-1:] == "\r" else ""
            text = line.removesuffix(kept)
            for char, mark in _STRAY.items():
                if char in text:
                    strays.add(char)
                    text = text.replace(char, mark)
            yield f"{text}{kept}\n"


def _header_line(texts: Iterator[str]) -> tuple[int, str]:
    """The number of leading empty lines, and the next line."""
    for skipped, line in enumerate(texts):
        if line.strip(f' "{_SEPARATORS}\r\n'):
            return skipped, line
    return 0, ""


def _is_header(line: str, names: FeedNames) -> bool:
    heads = next(csv.reader([line], delimiter=_delimiter(line)), [])
    columns = [names.column(head) for head in heads]
    return any(columns) and not names.missing(columns)


def _delimiter(header: str) -> str:
    return max(_SEPARATORS, key=_QUOTED.sub("", header).count)


def _restored(cell: str) -> str:
    for char, mark in _STRAY.items():
        if mark in cell:
            cell = cell.replace(mark, char)
    return cell
