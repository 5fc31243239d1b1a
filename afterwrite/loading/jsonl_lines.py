"""JSONL reader: one product per line, each line parsed on its own."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from afterwrite.loading.json_elements import LONGEST_VALUE
from afterwrite.loading.json_values import JsonValues
from afterwrite.loading.rows import CatalogueFileError, Row, UnreadableRow, not_an_object
from afterwrite.resources.feed_fields import FeedReader


def jsonl_rows(path: Path, blocks: Iterator[str], reader: FeedReader) -> Iterator[Row]:
    """One row per line; empty lines are skipped."""
    start = next(blocks, "")
    # JSON strings contain no raw line breaks, so without an LF a CR ends the line.
    end = "\r" if "\r" in start and "\n" not in start else "\n"
    values = JsonValues()
    for first, lines in line_blocks(path, chain((start,), blocks), end):
        for number, line in enumerate(lines, first):
            text = line.strip()
            if text:
                yield number, _row_of_line(text, values, reader)


def line_blocks(path: Path, blocks: Iterator[str], end: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a text in blocks, each block with its first line number.

    Raises CatalogueFileError for a line longer than LONGEST_VALUE.
    """
    number = 1
    rest = ""
    for block in blocks:
        lines = (rest + block).split(end)
        rest = lines.pop()
        yield number, lines
        number += len(lines)
        if len(rest) > LONGEST_VALUE:
            raise CatalogueFileError(
                f"{path}, line {number} is longer than {LONGEST_VALUE:,} characters: write one product a line"
            )
    if rest:
        yield number, [rest]


def _row_of_line(text: str, values: JsonValues, reader: FeedReader) -> dict[str, Any] | UnreadableRow:
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
    return reader.fields(item) if isinstance(item, dict) else not_an_object(item)
