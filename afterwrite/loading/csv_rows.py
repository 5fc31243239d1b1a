"""CSV reader: a header row; commas, semicolons or tabs; quoted as spreadsheets quote."""

import csv
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from afterwrite.base.counts import counted
from afterwrite.loading.json_elements import LONGEST_VALUE
from afterwrite.loading.jsonl_lines import line_blocks
from afterwrite.loading.rows import CatalogueFileError, Row, UnreadableRow
from afterwrite.loading.spreadsheet_cells import EXPORTED, exported, trimmed
from afterwrite.resources.feed_fields import FeedReader, column_name

_QUOTED = re.compile(r'"[^"]*"?')
_FIRST_LINE = re.compile(r'((?:[^"\r\n]|"[^"]*")*)(\r\r\n|\r\n|\r|\n|$)')
# Excel's first line may name the delimiter (`sep=;`) instead of holding a row.
_NAMED_DELIMITER = re.compile(r"sep=([^\r\n\"])[ ,;\t]*(\r\r\n|\r\n|\r|\n)", re.IGNORECASE)
_SEPARATORS = ",;\t"
# The csv module ends a row at a lone CR. These stand-ins cannot occur in a UTF-8 file.
_STRAY = {"\r": "\udc0d", "\n": "\udc0a"}


def csv_rows(path: Path, blocks: Iterator[str], reader: FeedReader) -> Iterator[Row]:
    """Every row after the header; blank rows are skipped.

    Raises CatalogueFileError for a header without title and price, a duplicate column, or an unclosed quote, after
    which rows cannot be separated.
    """
    start = next(blocks, "")
    named = _NAMED_DELIMITER.match(start)
    if named is not None:
        start = start[named.end() :]
    strays = set[str]()
    texts = _lines(path, chain((start,), blocks), _line_end(start, named), strays)
    skipped, header = _header_line(texts)
    skipped += named is not None
    # Validation refuses long cells, not the reader.
    csv.field_size_limit(LONGEST_VALUE)
    delimiter = named[1] if named else _delimiter(header)
    # Strict: an unclosed quote is an error and does not swallow the rest of the file.
    rows = csv.reader(chain((header,), texts), delimiter=delimiter, strict=True)
    reader.has_semicolons = delimiter == ";"
    line = skipped + 1
    try:
        columns = _Columns(path, header, next(rows, []), reader)
        line = skipped + rows.line_num + 1
        for cells in rows:
            if any(map(str.strip, cells)):
                yield line, columns.row([_restored(cell) for cell in cells] if strays else cells)
            line = skipped + rows.line_num + 1
    except csv.Error as error:
        raise CatalogueFileError(
            f"{path} cannot be read from line {line} on: {error}: look for an open quote or a cell of over "
            f"{LONGEST_VALUE:,} characters"
        ) from error


class _Columns:
    """The columns of a file, mapped to product fields."""

    def __init__(self, path: Path, header: str, heads: list[str], reader: FeedReader) -> None:
        self._names = [column_name(head) for head in heads]
        self._reader = reader
        self._value = _exported_value if tuple(heads) == EXPORTED else _value
        if not header:
            raise CatalogueFileError(f"{path} is empty: give a header row and a row for each product")
        if not _has_title_and_price(self._names):
            raise CatalogueFileError(
                f"{path} has no column title (or name) and price in its first line {header.strip()[:200]!r}: "
                "give a header row"
            )
        for name in filter(None, self._names):
            if self._names.count(name) > 1:
                same = [head.strip() for head, found in zip(heads, self._names, strict=True) if found == name]
                raise CatalogueFileError(
                    f"{path} gives {name} in {len(same)} columns ({', '.join(same)[:200]}): keep one of them"
                )
        for head, found in zip(heads, self._names, strict=True):
            if found is None and head.strip():
                reader.ignore(head.strip())

    def row(self, cells: list[str]) -> dict[str, Any] | UnreadableRow:
        """The fields of a row."""
        names, value = self._names, self._value
        if len(cells) != len(names):
            return UnreadableRow(f"{counted(len(cells), 'field')}, but the header has {len(names)}")
        given = zip(names, cells, strict=True)
        return self._reader.fields({name: value(name, cell) for name, cell in given if name})


def _line_end(start: str, named: re.Match[str] | None) -> str:
    """The line ending of the file: LF (alone or after CR), unless the header ends otherwise.

    ``named`` is the preceding line that names the delimiter; it has the same ending.
    """
    if named is not None:
        return named[2] if named[2] in ("\r", "\r\r\n") else "\n"
    first = _FIRST_LINE.match(start.lstrip())
    if first is not None and first[2] in ("\r", "\r\r\n") and _is_header(first[1]):
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


def _is_header(line: str) -> bool:
    heads = next(csv.reader([line], delimiter=_delimiter(line)), [])
    return _has_title_and_price([column_name(head) for head in heads])


def _has_title_and_price(names: list[str | None]) -> bool:
    return "price" in names and bool({"title", "name"} & set(names))


def _delimiter(header: str) -> str:
    return max(_SEPARATORS, key=_QUOTED.sub("", header).count)


def _restored(cell: str) -> str:
    for char, mark in _STRAY.items():
        if mark in cell:
            cell = cell.replace(mark, char)
    return cell


def _exported_value(_: str, cell: str) -> Any:
    """The exact value of a cell of our own export; an empty cell is null."""
    return exported(cell) or None


def _value(name: str, cell: str) -> Any:
    """The value of a cell: null if empty; ``rating``, ``category`` and pictures may be JSON."""
    text = trimmed(cell)
    if not text:
        return None
    if text[0] in "{[" and name in ("rating", "category", "image", "images"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text  # validation refuses it with its value
    return text
