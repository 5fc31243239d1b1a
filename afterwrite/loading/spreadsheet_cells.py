"""Protection against CSV injection: escapes cells that a spreadsheet would run as formulas, and unescapes them."""

import re
from typing import Any

EXPORTED = (
    "id",
    "title",
    "price",
    "description",
    "category",
    "image",
    "rating_rate",
    "rating_count",
    "created_at",
    "updated_at",
    "version",
)
# Characters that start a formula in a spreadsheet, including full-width forms; see
# https://owasp.org/www-community/attacks/CSV_Injection
_RUNS = "=+@\\t\\r\\n\uff1d\uff0b\uff0d\uff20-"
# Some spreadsheets split cells at tabs and semicolons. An existing ' gets a second one, so that unescaping is exact.
_PLACES = "(?:^|(?<=[\t;]))"
_HARM = re.compile(f"{_PLACES}(?=['{_RUNS}])")
_UNDONE = re.compile(f"{_PLACES}'(?=['{_RUNS}])")
_OF_OTHERS = re.compile(f"^'(?=[{_RUNS}])")


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
