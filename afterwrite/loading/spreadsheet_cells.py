"""Keeps spreadsheets from running texts of a CSV file as formulas, and undoes that when such a file is read."""

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
# What makes a spreadsheet take a text for a formula, the wide forms of some keyboards included; see
# https://owasp.org/www-community/attacks/CSV_Injection
_RUNS = "=+@\\t\\r\\n\uff1d\uff0b\uff0d\uff20-"
# Some spreadsheets take a tab or a semicolon for the end of a cell. A ' that is there already gets one more, so that
# what is undone is what was there.
_PLACES = "(?:^|(?<=[\t;]))"
_HARM = re.compile(f"{_PLACES}(?=['{_RUNS}])")
_UNDONE = re.compile(f"{_PLACES}'(?=['{_RUNS}])")
_OF_OTHERS = re.compile(f"^'(?=[{_RUNS}])")


def harmless(value: Any) -> Any:
    """A cell of our export that no spreadsheet runs: a text that begins like a formula gets a ' in front."""
    return _HARM.sub("'", value) if isinstance(value, str) else value


def exported(cell: str) -> str:
    """The text that our export made ``harmless``."""
    return _UNDONE.sub("", cell) if "'" in cell else cell


def trimmed(cell: str) -> str:
    """The text in a cell of anybody's file: without the space around it, and without the ' before a formula."""
    text = cell.strip()
    return _OF_OTHERS.sub("", text).strip() if text[:1] == "'" else text
