"""Batch validation of the rows of a file of records."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

from afterwrite.loading import Format, RecordFile, Row
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.field import FieldError, FieldProblem

BATCH_ROWS = 500  # small enough to stay in the CPU cache between the steps
_LOCAL_PICTURES = "/static/pictures/"

T = TypeVar("T")
Check = Callable[[Mapping[str, Any]], tuple[dict[str, Any], list[FieldError]]]


class RefusedRow(NamedTuple):
    """A refused row: its line, its index in a JSON array, and the reasons.

    These are ``{"field", "code", "message"}``; ``field`` is None if the row is not a record.
    """

    line: int
    element: int | None
    errors: list[dict[str, str | None]]


class CheckedRows(NamedTuple, Generic[T]):
    """The valid and the refused rows of a batch, each in file order."""

    records: list[T]
    refused: list[RefusedRow]


def row_check(resource: CompiledResource) -> Check:
    """The check of a row: that of a new record, and its rule."""

    def check(fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
        checked, refused = resource.check_new(fields)
        if not refused and (broken := resource.broken_rule(checked)):
            refused = [FieldError(resource.noun, FieldProblem.OUT_OF_RANGE, f"is refused: {broken.message}")]
        return checked, refused

    return check if resource.has_rule else resource.check_new


def check_sample_row(check: Check, fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
    """Validate a sample product, whose picture may be one of the server's own; users may not reference those."""
    image = fields.get("image")
    if not isinstance(image, str) or not image.startswith(_LOCAL_PICTURES):
        return check(fields)
    checked, refused = check({**fields, "image": None})
    return {**checked, "image": image}, refused


def checked_batches(source: RecordFile, keep: Callable[[dict[str, Any]], T], check: Check) -> Iterator[CheckedRows[T]]:
    """Every row of the file, validated by ``check`` of a new record, in batches of fixed size.

    ``keep`` converts the stored fields of a valid row to the batch's item. Raises TextFileError.
    """
    rows = source.rows()
    first_element = 0 if source.format is Format.JSON else None
    while batch := list(islice(rows, BATCH_ROWS)):
        yield _check_rows(batch, keep, check, first_element)
        if first_element is not None:
            first_element += len(batch)


def stored_batches(source: RecordFile, check: Check) -> Iterator[CheckedRows[tuple[Any, ...]]]:
    """The same as ``checked_batches`` with the stored values of rows, by column where rows are ordinary.

    Batches have some hundred or thousand rows. Raises TextFileError.
    """
    values_of = source.resource.stored_values
    first_element = 0 if source.format is Format.JSON else None
    for part in source.parts():
        batch = CheckedRows[tuple[Any, ...]]([], [])
        for place, values in enumerate(part.stored):
            if values is not None:
                batch.records.append(values)
            elif row := part.row(place):
                one = _check_rows([row], values_of, check, None if first_element is None else first_element + place)
                batch.records.extend(one.records)
                batch.refused.extend(one.refused)
        yield batch
        if first_element is not None:
            first_element += len(part.stored)


def _check_rows(
    rows: Iterable[Row], keep: Callable[[dict[str, Any]], T], check: Check, first_element: int | None
) -> CheckedRows[T]:
    records: list[T] = []
    refused: list[RefusedRow] = []
    for number, (line, fields) in enumerate(rows):
        if isinstance(fields, dict):
            checked, problems = check(fields)
            if not problems:
                records.append(keep(checked))
                continue
            errors = [problem.as_json() for problem in problems]
        else:
            errors = [{"field": None, "code": "UNREADABLE", "message": fields.reason}]
        refused.append(RefusedRow(line, None if first_element is None else first_element + number, errors))
    return CheckedRows(records, refused)
