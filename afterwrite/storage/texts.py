"""Text comparison that works in both databases."""

from typing import Any

from sqlalchemy import ColumnElement, false


def is_text(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """``column = text``; false for a text with NUL, which is never stored and which PostgreSQL rejects."""
    return false() if "\0" in text else column == text
