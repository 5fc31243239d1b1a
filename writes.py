"""Says what a write is: what was asked, its receipt, and what it does to a product."""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from product import Product, composed_fields, from_microseconds

ROW_OVERHEAD_BYTES = 64


class Operation(StrEnum):
    """What a write asks for."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


class WriteStatus(StrEnum):
    """QUEUED in the journal; APPLIED or FAILED once it is in the ledger, and never changed again."""

    QUEUED = "QUEUED"
    APPLIED = "APPLIED"
    FAILED = "FAILED"


class WriteErrorCode(StrEnum):
    """Why a write FAILED."""

    PRODUCT_NOT_FOUND = "PRODUCT_NOT_FOUND"
    PRODUCT_EXISTS = "PRODUCT_EXISTS"
    CONSTRAINT_VIOLATED = "CONSTRAINT_VIOLATED"
    UNREADABLE = "UNREADABLE"


class WriteError(Exception):
    """A write that cannot be applied, now or later."""

    def __init__(self, code: WriteErrorCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class WriteFailure(NamedTuple):
    """The error of a FAILED write."""

    code: str
    message: str


class Write(NamedTuple):
    """A write and its receipt; ``arguments`` is the JSON text of the stored fields it sets.

    ``accepted_by`` is the name of the caller whose request it was; None: it gave none.
    """

    id: int
    operation: str
    product_id: int
    arguments: str
    accepted_at_us: int
    retry_of: int | None = None
    accepted_by: str | None = None
    status: str = WriteStatus.QUEUED
    error_code: str | None = None
    error_message: str | None = None
    settled_at_us: int | None = None

    @property
    def error(self) -> WriteFailure | None:
        """Why it FAILED; None for every other status."""
        return WriteFailure(self.error_code, self.error_message or "") if self.error_code else None

    @property
    def accepted_at(self) -> datetime:
        """When it was journaled."""
        return from_microseconds(self.accepted_at_us)

    @property
    def settled_at(self) -> datetime | None:
        """When it was applied or failed."""
        return None if self.settled_at_us is None else from_microseconds(self.settled_at_us)


@dataclass(frozen=True, slots=True)
class WriteFilter:
    """Which writes a page is made of; None lets every one through. ``by`` is the name of who had it accepted."""

    status: WriteStatus | None = None
    product_id: int | None = None
    by: str | None = None


class WriteRequest(NamedTuple):
    """A checked write before it is accepted; a create has no product id yet, unless it is tried again."""

    operation: Operation
    product_id: int | None
    arguments: str
    retry_of: int | None = None


def size_bytes(arguments: str) -> int:
    """What a write counts for in the backlog's limit in bytes."""
    return len(arguments.encode()) + ROW_OVERHEAD_BYTES


def request_write(operation: Operation, product_id: int | None, fields: dict[str, Any]) -> WriteRequest:
    """A write that sets ``fields`` (in stored form, as ``product.check_fields`` gives them)."""
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return WriteRequest(operation, product_id, text)


def apply_write(write: Write, product: Product | None) -> Product | None:
    """What the product is after the write: pure, so that a batch is worked out before any SQL runs.

    ``product`` is its state before, None when there is none. Returns None after a delete. Raises WriteError
    when the write can never be applied.
    """
    try:
        return _next_state(write, product)
    except (TypeError, ValueError) as error:  # the journal was written by another version, or damaged
        raise WriteError(
            WriteErrorCode.UNREADABLE, f"The arguments of write {write.id} cannot be read: {error}"
        ) from error


def _next_state(write: Write, product: Product | None) -> Product | None:
    if write.operation == Operation.CREATE:
        if product is not None:
            raise WriteError(WriteErrorCode.PRODUCT_EXISTS, f"Product {write.product_id} exists already")
        return _created(write)
    if product is None:
        raise WriteError(
            WriteErrorCode.PRODUCT_NOT_FOUND,
            f"Product {write.product_id} does not exist; nothing was changed",
        )
    if write.operation == Operation.DELETE:
        return None
    fields = composed_fields(json.loads(write.arguments))
    return product._replace(**fields, updated_at_us=write.accepted_at_us, version=product.version + 1)


def _created(write: Write) -> Product:
    return Product(
        id=write.product_id,
        created_at_us=write.accepted_at_us,
        updated_at_us=write.accepted_at_us,
        version=1,
        **composed_fields(json.loads(write.arguments)),
    )
