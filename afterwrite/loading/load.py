"""Loads the valid rows of a file of records in one transaction."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TextIO

from afterwrite.base.counts import counted
from afterwrite.base.store_errors import StoreError
from afterwrite.loading import TextFileError
from afterwrite.loading.checked_rows import CheckedRows, RefusedRow
from afterwrite.storage.catalogue_load import Load, StoredValues

REFUSAL_SAMPLES = 20


class LoadFailed(Exception):
    """The load stopped and nothing is stored; ``__cause__`` is the error."""


class RefusedRows:
    """The refused rows of a load: ``count``, the first ones as text, all of them as JSONL in ``report``.

    ``noun`` names an element of a JSON array.
    """

    def __init__(self, noun: str, report: TextIO | None = None) -> None:
        self.count = 0
        self.samples: list[str] = []
        self._noun, self._report = noun, report

    def add(self, row: RefusedRow) -> None:
        """Record a refused row."""
        self.count += 1
        if len(self.samples) < REFUSAL_SAMPLES:
            line = f"line {row.line}"
            place = line if row.element is None else f"{self._noun} {row.element + 1:,} ({line})"
            self.samples.append(f"{place}: {'; '.join(str(error['message']) for error in row.errors)}")
        if self._report is not None:
            place_fields = {"line": row.line} if row.element is None else {"line": row.line, "element": row.element}
            self._report.write(json.dumps({**place_fields, "errors": row.errors}, ensure_ascii=False) + "\n")


def load_records(
    loading: AbstractContextManager[Load],
    batches: Iterator[CheckedRows[StoredValues]],
    refused: RefusedRows,
    progress: Callable[[int], None] = lambda rows: None,
) -> int:
    """Store the records of all batches in one transaction; return their number.

    ``refused`` collects the refused rows; ``progress`` gets the number of rows inserted so far. Raises LoadFailed.
    """
    load: Load | None = None
    try:
        with loading as load:
            for batch in batches:
                load.insert(batch.records)
                for row in batch.refused:
                    refused.add(row)
                progress(load.inserted)
    except (StoreError, TextFileError, OSError) as error:
        rows = (load.inserted if load else 0) + refused.count
        raise LoadFailed(f"{error}. The load stopped after {counted(rows, 'row')}; nothing of it is stored") from error
    return load.inserted
