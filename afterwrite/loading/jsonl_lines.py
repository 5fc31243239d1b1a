"""Reads JSONL: one product a line, each line for itself."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from afterwrite.loading.json_elements import LONGEST_VALUE
from afterwrite.loading.json_values import JsonValues
from afterwrite.loading.rows import CatalogueFileError, Row, UnreadableRow, no_object
from afterwrite.resources.feed_fields import FeedReader


def jsonl_rows(path: Path, blocks: Iterator[str], reader: FeedReader) -> Iterator[Row]:
    """The row of every line; empty lines give none."""
    start = next(blocks, "")
    # No text in JSON has a raw line end in it, so a CR ends a line where there is nothing else that does.
    end = "\r" if "\r" in start and "\n" not in start else "\n"
    values = JsonValues()
    for first, lines in line_blocks(path, chain((start,), blocks), end):
        for number, line in enumerate(lines, first):
            text = line.strip()
            if text:
                yield number, _row_of_line(text, values, reader)


def line_blocks(path: Path, blocks: Iterator[str], end: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a text that comes in pieces, many at a time, with the number of the first of them.

    Raises CatalogueFileError for a line that is too long to hold.
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
    return reader.fields(item) if isinstance(item, dict) else no_object(item)
