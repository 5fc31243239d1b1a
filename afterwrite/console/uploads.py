"""Imports a file of records: its valid rows become writes, its invalid rows are reported."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from afterwrite.base.refusals import Refused
from afterwrite.loading import DecimalSign, RecordFile, TextFileError
from afterwrite.loading.checked_rows import RefusedRow, checked_batches, row_check
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.write import Operation, Write, request_write
from afterwrite.writes.queue import WriteQueue

REFUSED_SHOWN = 1_000
REFUSED_MAX = 10_000  # a file with more is wrong as a whole

_ASK = 'choose it in the field "Decimal sign"'


@dataclass(slots=True)
class Upload:
    """The result of an upload: the accepted writes, in the order of the rows, and the refused rows.

    ``notes`` name the ignored parts of rows. ``trouble`` says why the upload stopped early; the rows before stay
    accepted.
    """

    accepted: int = 0
    last: Write | None = None
    refused: int = 0
    refused_rows: list[RefusedRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    trouble: str | None = None

    def accept(self, writes: Sequence[Write]) -> None:
        """Count accepted writes and keep the last of them."""
        self.accepted += len(writes)
        self.last = writes[-1]

    def refuse(self, rows: Sequence[RefusedRow]) -> None:
        """Count refused rows and keep the first REFUSED_SHOWN."""
        self.refused += len(rows)
        self.refused_rows += rows[: REFUSED_SHOWN - len(self.refused_rows)]


def take_in(
    queue: WriteQueue,
    resource: CompiledResource,
    path: Path,
    key: str,
    by: str | None,
    decimal: DecimalSign | None = None,
) -> Upload:
    """Accept a create for each valid row of the file, some hundred per commit.

    ``decimal`` is the decimal sign for ambiguous numbers. ``key`` makes a retry of the same file safe: no row is
    accepted twice. Raises TextFileError before accepting anything if the file cannot be read to its end; later problems
    of rows or queue are in ``trouble``.
    """
    with RecordFile(resource, path, decimal, _ASK) as checked:
        checked.read_through()
    upload = Upload()
    try:
        with RecordFile(resource, path, checked.decimal, _ASK) as source:
            try:
                _accept_rows(upload, source, queue, resource, key, by)
            finally:
                upload.notes = source.notes()
    except TextFileError as error:
        if not upload.accepted and not upload.refused:
            raise
        upload.trouble = f"{error}. {_so_far(upload.accepted)}"
    except Refused as error:
        upload.trouble = f"{error.message}. {_so_far(upload.accepted)}"
    return upload


def _accept_rows(
    upload: Upload, source: RecordFile, queue: WriteQueue, resource: CompiledResource, key: str, by: str | None
) -> None:
    create = partial(request_write, resource, Operation.CREATE, None)
    for number, batch in enumerate(checked_batches(source, create, row_check(resource))):
        upload.refuse(batch.refused)
        if batch.records:
            upload.accept(queue.accept(batch.records, f"upload-{key}-{number}", by))
        if upload.refused > REFUSED_MAX:
            raise TextFileError(
                f"More than {REFUSED_MAX:,} rows are refused, so the rest of the file was not read: see the first ones "
                "below"
            )


def _so_far(accepted: int) -> str:
    rows = "The first valid row is" if accepted == 1 else f"The first {accepted:,} valid rows are"
    return f"{rows} accepted: send the file again from this form; accepted rows are not added twice"
