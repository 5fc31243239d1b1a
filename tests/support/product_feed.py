"""Reads a product file that a test has written."""

from pathlib import Path
from typing import Any

from declared import PRODUCT

from afterwrite.loading import Format, RecordFile, Row, UnreadableRow


def read(path: Path, content: str | bytes) -> tuple[Format, list[Row]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with RecordFile(PRODUCT, path) as source:
        return source.format, list(source.rows())


def fields(path: Path, content: str | bytes) -> list[dict[str, Any]]:
    rows = [row for _, row in read(path, content)[1]]
    assert not any(isinstance(row, UnreadableRow) for row in rows), rows
    return [{name: value for name, value in row.items() if value is not None} for row in rows]  # type: ignore[union-attr]
