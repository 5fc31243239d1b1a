"""Takes a file of products in: its good rows become writes like any other, the refused ones are told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from afterwrite.base.refusals import Refused
from afterwrite.loading import CatalogueFile, DecimalSign, TextFileError
from afterwrite.loading.checked_rows import RefusedRow, checked_batches
from afterwrite.resources.write import Operation, Write, request_write
from afterwrite.writes.queue import WriteQueue

REFUSED_SHOWN = 1_000
REFUSED_MAX = 10_000  # of a file that has more, something is wrong as a whole

_ASK = 'choose it in the field "Decimal sign"'


@dataclass(slots=True)
class Upload:
    """What became of a file: the writes that were accepted, in the order of its rows, and the refused rows.

    ``notes`` say what of the rows was left out. ``trouble`` says why not all of it was taken in; what was is accepted
    all the same.
    """

    accepted: int = 0
    last: Write | None = None
    refused: int = 0
    refused_rows: list[RefusedRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    trouble: str | None = None

    def accept(self, writes: Sequence[Write]) -> None:
        """Count accepted writes."""
        self.accepted += len(writes)
        self.last = writes[-1]

    def refuse(self, rows: Sequence[RefusedRow]) -> None:
        """Count refused rows, and keep the first of them."""
        self.refused += len(rows)
        self.refused_rows += rows[: REFUSED_SHOWN - len(self.refused_rows)]


def take_in(
    queue: WriteQueue, path: Path, key: str, by: str | None, decimal: DecimalSign | None = None
) -> Upload:
    """Accept a create for each good row of the file, some hundred in a commit.

    ``decimal`` is the decimal sign of numbers that alone cannot tell it. ``key`` makes it safe to send the same file
    again, after whatever went wrong: no row is accepted twice. Raises TextFileError where the file cannot be read to
    its end, before anything is accepted; where the rows or the queue end it later, the upload says so.
    """
    with CatalogueFile(path, decimal, _ASK) as looked_at:
        looked_at.read_through()
    upload = Upload()
    try:
        with CatalogueFile(path, looked_at.decimal, _ASK) as source:
            try:
                _accept_rows(upload, source, queue, key, by)
            finally:
                upload.notes = source.notes()
    except TextFileError as error:
        if not upload.accepted and not upload.refused:
            raise
        upload.trouble = f"{error}. {_so_far(upload.accepted)}"
    except Refused as error:
        upload.trouble = f"{error.message}. {_so_far(upload.accepted)}"
    return upload


def _accept_rows(upload: Upload, source: CatalogueFile, queue: WriteQueue, key: str, by: str | None) -> None:
    create = partial(request_write, Operation.CREATE, None)
    for number, batch in enumerate(checked_batches(source, create)):
        upload.refuse(batch.refused)
        if batch.products:
            upload.accept(queue.accept(batch.products, f"upload-{key}-{number}", by))
        if upload.refused > REFUSED_MAX:
            raise TextFileError(
                f"More than {REFUSED_MAX:,} rows are refused, so the rest of the file was not read: the first of them "
                "are below"
            )


def _so_far(accepted: int) -> str:
    rows = "The first good row is" if accepted == 1 else f"The first {accepted:,} good rows are"
    return f"{rows} accepted: send the file again from this form; what is accepted is not added twice"
