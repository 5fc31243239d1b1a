"""Exports records as CSV or JSONL, streamed page by page."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from flask import Response

from afterwrite.console.record_list import Selection
from afterwrite.loading.spreadsheet_cells import ExportFormat, export_format
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.text_fields import Url
from afterwrite.service.context import Context
from afterwrite.storage.records import Position

_PAGE = 500


def answer(
    context: Context, resource: CompiledResource, selected: Selection, kind: str, end: Callable[[], None]
) -> Response:
    """The selected records as a file of a kind in KINDS; ``end`` is called when the download ends or is aborted."""
    content_type, rows_as_text = KINDS[kind]
    pages = _records(context, resource, selected)
    found = Response(rows_as_text(pages, export_format(resource)), content_type=content_type)
    found.call_on_close(end)
    name = f"{resource.plural.replace('_', '-')}-{datetime.now(UTC):%Y%m%d-%H%M%S}.{kind}"
    found.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    found.headers["Cache-Control"] = "no-store"
    return found


def _records(context: Context, resource: CompiledResource, selected: Selection) -> Iterator[list[Record]]:
    urls = [field.column for field in resource.fields.values() if isinstance(field, Url)]
    position: Position | None = None
    while True:
        found = context.records[resource.name].after(selected.wanted, selected.order, position, _PAGE)
        if found:
            yield [
                record._replace(**{column: context.absolute(getattr(record, column)) for column in urls})
                for record in found
            ]
        if len(found) < _PAGE:
            return
        position = selected.order.place_of(found[-1])


def csv_of(pages: Iterator[list[Record]], export: ExportFormat) -> Iterator[str]:
    """The text of a CSV file of these records."""
    yield _csv_lines([export.names])
    for records in pages:
        yield _csv_lines(map(export.cells, records))


def _csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    return text.getvalue()


def _jsonl(pages: Iterator[list[Record]], export: ExportFormat) -> Iterator[str]:
    for records in pages:
        yield "".join(json.dumps(export.values(record), ensure_ascii=False) + "\n" for record in records)


KINDS: dict[str, tuple[str, Callable[[Iterator[list[Record]], ExportFormat], Iterator[str]]]] = {
    "csv": ("text/csv; charset=utf-8", csv_of),
    "jsonl": ("application/jsonl; charset=utf-8", _jsonl),
}
