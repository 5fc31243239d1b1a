"""Columns of tables, and conditions on their texts, that work in both databases."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Float, String, false


def columns_of(row: type[tuple[Any, ...]], names: Sequence[str] = ()) -> list[Column[Any]]:
    """The columns in which a named tuple is stored, typed like its fields; ``names`` are all of them by default."""
    kinds = row.__annotations__
    types = {int: BigInteger, int | None: BigInteger, float | None: Float}
    return [Column(name, types.get(kinds[name], String), primary_key=name == "id") for name in names or kinds]


def is_text(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """``column = text``; false for a text with NUL, which is never stored and which PostgreSQL rejects."""
    return false() if "\0" in text else column == text


def like_pattern(text: str) -> str:
    """The LIKE pattern for a substring, with special characters escaped by a backslash."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"
