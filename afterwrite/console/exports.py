"""Exports products as CSV or JSONL, streamed page by page."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from flask import Response

from afterwrite.console.products import Selection, products_of
from afterwrite.loading.spreadsheet_cells import ExportFormat, export_format
from afterwrite.resources.compiled import Record
from afterwrite.service.context import Context
from afterwrite.storage.records import Position

_PAGE = 500


def answer(context: Context, selected: Selection, kind: str, end: Callable[[], None]) -> Response:
    """The selected products as a file of a kind in KINDS; ``end`` is called when the download ends or is aborted."""
    content_type, rows_as_text = KINDS[kind]
    export = export_format(products_of(context).resource)
    found = Response(rows_as_text(_products(context, selected), export), content_type=content_type)
    found.call_on_close(end)
    name = f"products-{datetime.now(UTC):%Y%m%d-%H%M%S}.{kind}"
    found.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    found.headers["Cache-Control"] = "no-store"
    return found


def _products(context: Context, selected: Selection) -> Iterator[list[Record]]:
    position: Position | None = None
    while True:
        found = products_of(context).after(selected.wanted, selected.order, position, _PAGE)
        if found:
            yield [product._replace(image=context.absolute(product.image)) for product in found]
        if len(found) < _PAGE:
            return
        position = selected.order.place_of(found[-1])


def _csv(pages: Iterator[list[Record]], export: ExportFormat) -> Iterator[str]:
    yield _csv_lines([export.names])
    for products in pages:
        yield _csv_lines(map(export.cells, products))


def _csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    return text.getvalue()


def _jsonl(pages: Iterator[list[Record]], export: ExportFormat) -> Iterator[str]:
    for products in pages:
        yield "".join(json.dumps(export.values(product), ensure_ascii=False) + "\n" for product in products)


KINDS: dict[str, tuple[str, Callable[[Iterator[list[Record]], ExportFormat], Iterator[str]]]] = {
    "csv": ("text/csv; charset=utf-8", _csv),
    "jsonl": ("application/jsonl; charset=utf-8", _jsonl),
}
