"""What a text must be for both databases."""

from typing import Any

from sqlalchemy import ColumnElement, false


def is_text(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether a column is a text. None that is stored has a NUL in it, and PostgreSQL refuses to look for one."""
    return false() if "\0" in text else column == text
