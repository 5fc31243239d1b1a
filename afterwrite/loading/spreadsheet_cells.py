"""The export format of a resource, and the protection of its cells against CSV injection.

A cell that a spreadsheet would run as a formula is escaped. Every value can be read back exactly from its cell.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.feed_values import is_missing
from afterwrite.resources.field import Field, FieldError, FieldProblem
from afterwrite.resources.value_fields import Json

KEPT = ("created_at", "updated_at", "version")
"""The columns after those of the fields; the first one is the id."""

# Characters that start a formula in a spreadsheet, including full-width forms; see
# https://owasp.org/www-community/attacks/CSV_Injection
_RUNS = "=+@\\t\\r\\n\uff1d\uff0b\uff0d\uff20-"
# Some spreadsheets split cells at tabs and semicolons. An existing ' gets a second one, so that unescaping is exact.
_PLACES = "(?:^|(?<=[\t;]))"
_HARM = re.compile(f"{_PLACES}(?=['{_RUNS}])")
_UNDONE = re.compile(f"{_PLACES}'(?=['{_RUNS}])")
_OF_OTHERS = re.compile(f"^'(?=[{_RUNS}])")
_EMPTY_TEXT = "'"  # an empty cell is null


class ExportFormat:
    """How the records of one resource are exported; ``names`` are the columns, ``own`` those of its fields."""

    def __init__(self, resource: CompiledResource) -> None:
        self.names = ("id", *resource.fields, *KEPT)
        self._fields = list(resource.fields.items())
        self.own = frozenset(resource.fields)
        self._cells: dict[str, Callable[[str], Any]] = {
            name: _json_of_cell(field) if isinstance(field, Json) else _text_of_cell for name, field in self._fields
        }

    def values(self, record: Record) -> dict[str, Any]:
        """The values of a record by column, as JSON has them."""
        fields = {name: _json_value(field, getattr(record, field.column)) for name, field in self._fields}
        times = {"created_at": record.created_at.isoformat(), "updated_at": record.updated_at.isoformat()}
        return {"id": record.id, **fields, **times, "version": record.version}

    def cells(self, record: Record) -> list[Any]:
        """The cells of a record, for ``csv.writer``."""
        row = self.values(record)
        for name, field in self._fields:
            row[name] = _cell(getattr(record, field.column) if isinstance(field, Json) else row[name])
        return list(row.values())

    def is_of(self, names: Collection[str | None]) -> bool:
        """Whether a file has the columns of an export, also of one before fields were added."""
        return "updated_at" in names and set(names) - self.own == {"id", *KEPT}

    def is_usual(self, names: Collection[str]) -> bool:
        """Whether objects with these names are read by the names of feeds too: no export, or one with every field."""
        return not self.is_of(names) or self.own <= set(names)

    def from_cells(self, names: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
        """The fields in a row of an export; numbers are still texts."""
        given = zip(names, cells, strict=True)
        return {name: self._cells[name](cell) if cell else None for name, cell in given if name in self.own}


@cache
def export_format(resource: CompiledResource) -> ExportFormat:
    """The export format of a resource, made once for each."""
    return ExportFormat(resource)


def _json_value(field: Field, stored: Any) -> Any:
    value = None if stored is None else field.value_of(stored)
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _EMPTY_TEXT if value == "" else harmless(value)


def _text_of_cell(cell: str) -> str:
    return "" if cell == _EMPTY_TEXT else exported(cell)


def _json_of_cell(field: Field) -> Callable[[str], Any]:
    return lambda cell: json_value(field.name, exported(cell))


def json_value(field: str, text: str) -> Any:
    """The value of a cell that holds JSON; a FieldError if it does not."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if is_missing(text):
            return None
        return FieldError(field, FieldProblem.WRONG_TYPE, f"is {text[:40]!r}: give JSON; a text stands in quotes")


def harmless(value: Any) -> Any:
    """Escape a cell for export: a text that starts like a formula gets a leading '."""
    return _HARM.sub("'", value) if isinstance(value, str) else value


def exported(cell: str) -> str:
    """Unescape a cell of our own export."""
    return _UNDONE.sub("", cell) if "'" in cell else cell


def trimmed(cell: str) -> str:
    """The text of a cell in any other file, without surrounding space and without a ' before a formula."""
    text = cell.strip()
    return _OF_OTHERS.sub("", text).strip() if text[:1] == "'" else text
