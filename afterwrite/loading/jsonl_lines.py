"""JSONL reader: one record per line, each line parsed on its own."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from afterwrite.loading.json_elements import LONGEST_VALUE
from afterwrite.loading.json_values import JsonValues, stored_lines
from afterwrite.loading.rows import Part, RecordFileError, Row, UnreadableRow, not_an_object
from afterwrite.loading.spreadsheet_cells import KEPT, ExportFormat, export_format
from afterwrite.resources.feed_columns import FeedColumns
from afterwrite.resources.feed_fields import FeedReader


def jsonl_rows(path: Path, blocks: Iterator[str], reader: FeedReader) -> Iterator[Row]:
    """One row per line; empty lines are skipped."""
    values, export = JsonValues(), export_format(reader.resource)
    for first, lines in _blocks_of_lines(path, blocks):
        for number, line in enumerate(lines, first):
            text = line.strip()
            if text:
                yield number, _row_of_line(text, values, export, reader)


def jsonl_parts(path: Path, blocks: Iterator[str], reader: FeedReader, columns: FeedColumns) -> Iterator[Part]:
    """The same rows in parts."""
    values, export = JsonValues(), export_format(reader.resource)
    for first, lines in _blocks_of_lines(path, blocks):

        def row(place: int, first: int = first, lines: list[str] = lines) -> Row | None:
            text = lines[place].strip()
            return (first + place, _row_of_line(text, values, export, reader)) if text else None

        yield Part(stored_lines(columns, lines, lambda group: export.is_usual(group.names)), row)


def _blocks_of_lines(path: Path, blocks: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    start = next(blocks, "")
    # JSON strings contain no raw line breaks, so without an LF a CR ends the line.
    end = "\r" if "\r" in start and "\n" not in start else "\n"
    return line_blocks(path, chain((start,), blocks), end)


def line_blocks(path: Path, blocks: Iterator[str], end: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a text in blocks, each block with its first line number.

    Raises RecordFileError for a line longer than LONGEST_VALUE.
    """
    number = 1
    rest = ""
    for block in blocks:
        lines = (rest + block).split(end)
        rest = lines.pop()
        yield number, lines
        number += len(lines)
        if len(rest) > LONGEST_VALUE:
            raise RecordFileError(
                f"{path}, line {number} is longer than {LONGEST_VALUE:,} characters: write one record a line"
            )
    if rest:
        yield number, [rest]


def _row_of_line(
    text: str, values: JsonValues, export: ExportFormat, reader: FeedReader
) -> dict[str, Any] | UnreadableRow:
    try:
        item, end = values.decode(text)
    except json.JSONDecodeError as error:
        return UnreadableRow(f"not valid JSON: {error.msg} at column {error.colno}")
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or nested too deeply
        return UnreadableRow(f"not readable: {error}")
    if end != len(text):
        return UnreadableRow(f"not valid JSON: more text after the value at column {end + 1}")
    if values.trouble is not None:
        return UnreadableRow(values.trouble)
    if not isinstance(item, dict):
        return not_an_object(item, reader.names)
    if not export.is_of(item):
        return reader.fields(item)
    for name in ("id", *KEPT):
        reader.ignore(name)
    return reader.exported_fields({name: value for name, value in item.items() if name in export.own})
