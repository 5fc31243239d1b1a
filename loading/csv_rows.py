"""Reads CSV with a header row: separated by commas, semicolons or tabs, quoted as spreadsheets do."""

import csv
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from loading.feed_fields import cell_value, column_name, product_fields
from loading.json_elements import LONGEST_VALUE
from loading.jsonl_lines import line_blocks
from loading.rows import CatalogueFileError, Row, UnreadableRow


def csv_rows(path: Path, blocks: Iterator[str]) -> Iterator[Row]:
    """Every row after the header; empty lines give none.

    Raises CatalogueFileError for a header without title and price, and where a quote is left open: what
    follows it cannot be told apart into rows.
    """
    texts = (line + "\n" for _, lines in line_blocks(path, blocks) for line in lines)
    header = next(texts, "")
    csv.field_size_limit(
        LONGEST_VALUE
    )  # a long cell is for the rules of a product to refuse, not for the reader
    # Strict, so that an open quote is an error and does not swallow the rest of the file.
    reader = csv.reader(chain((header,), texts), delimiter=max(",;\t", key=header.count), strict=True)
    line = 1
    try:
        names = [column_name(cell) for cell in next(reader, [])]
        _check_header(path, header, names)
        line = reader.line_num + 1
        for cells in reader:
            if cells:
                yield line, _row_of_cells(names, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise CatalogueFileError(
            f"{path} cannot be read from line {line} on: {error}: look for an open quote or a cell of over "
            f"{LONGEST_VALUE:,} characters"
        ) from error


def _check_header(path: Path, header: str, names: list[str | None]) -> None:
    if "price" not in names or not {"title", "name"} & set(names):
        raise CatalogueFileError(
            f"{path} has no column title (or name) and price in its first line {header.strip()[:200]!r}: "
            "give a header row"
        )


def _row_of_cells(names: list[str | None], cells: list[str]) -> dict[str, Any] | UnreadableRow:
    if len(cells) != len(names):
        return UnreadableRow(f"{len(cells)} fields, but the header has {len(names)}")
    given = zip(names, cells, strict=True)
    item: Mapping[str, Any] = {name: cell_value(name, cell) for name, cell in given if name}
    return product_fields(item)
