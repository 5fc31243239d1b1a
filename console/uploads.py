"""Takes a file of products in: its good rows become writes like any other, the refused ones are told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from async_db import NotAcceptedError, WriteQueue
from loading import CatalogueFile
from loading.checked_rows import RefusedRow, checked_batches
from writes import Operation, Write, request_write

REFUSED_SHOWN = 1_000


@dataclass(slots=True)
class Upload:
    """What became of a file: the writes that were accepted, in the order of its rows, and the refused rows.

    ``trouble`` says why not all of it was taken in; what was is accepted all the same.
    """

    accepted: int = 0
    last: Write | None = None
    refused: int = 0
    refused_rows: list[RefusedRow] = field(default_factory=list)
    trouble: str | None = None

    def accept(self, writes: Sequence[Write]) -> None:
        """Count accepted writes."""
        self.accepted += len(writes)
        self.last = writes[-1]

    def refuse(self, rows: Sequence[RefusedRow]) -> None:
        """Count refused rows, and keep the first of them."""
        self.refused += len(rows)
        self.refused_rows += rows[: REFUSED_SHOWN - len(self.refused_rows)]


def take_in(queue: WriteQueue, path: Path, key: str, by: str | None) -> Upload:
    """Accept a create for each good row of the file, some hundred in a commit.

    ``key`` makes it safe to send the same file again, after whatever went wrong: no row is accepted twice. Raises
    TextFileError where the file cannot be told apart into rows; the rows before that place are accepted by then.
    """
    upload = Upload()
    with CatalogueFile(path) as source:
        for number, batch in enumerate(
            checked_batches(source, partial(request_write, Operation.CREATE, None))
        ):
            upload.refuse(batch.refused)
            if not batch.products:
                continue
            try:
                upload.accept(queue.accept(batch.products, f"upload-{key}-{number}", by))
            except NotAcceptedError as error:
                upload.trouble = (
                    f"{error.message} The first {upload.accepted:,} rows are accepted: send the file again from "
                    "this form, and they are not added twice"
                )
                break
    return upload
