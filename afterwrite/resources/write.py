"""Writes: the request, the receipt, and the effect on a product."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from afterwrite.base.times import from_microseconds
from afterwrite.resources.product import Product, composed_fields, stored_names

ROW_OVERHEAD_BYTES = 64
_STORED = stored_names()
_ABSENT: dict[str, Any] = dict.fromkeys(name for name, required in _STORED.items() if not required)
# Version 0.1.0 stored all of these with every create, cannot read a create without them, and compared idempotency keys
# by that text. So they are always written; later fields are written only if given.
_ALWAYS_WRITTEN = frozenset({"title", "price_minor", "description", "category", "image", "rating_rate", "rating_count"})
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


class Operation(StrEnum):
    """What a write does."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


class WriteStatus(StrEnum):
    """QUEUED in the journal, then APPLIED or FAILED in the ledger, which is final."""

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
    """A write that can never be applied."""

    def __init__(self, code: WriteErrorCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class WriteFailure(NamedTuple):
    """The error of a FAILED write."""

    code: str
    message: str


class Write(NamedTuple):
    """A write and its receipt.

    ``arguments`` is the JSON text of the stored fields it sets; ``accepted_by`` names the caller, None: anonymous.
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
        """Why it FAILED, else None."""
        return WriteFailure(self.error_code, self.error_message or "") if self.error_code else None

    @property
    def accepted_at(self) -> datetime:
        """When it was journaled."""
        return from_microseconds(self.accepted_at_us)

    @property
    def settled_at(self) -> datetime | None:
        """When it was applied or failed."""
        return None if self.settled_at_us is None else from_microseconds(self.settled_at_us)


JOURNALED = Write._fields[: Write._fields.index("status")]
"""The fields that a write has before it is settled."""


@dataclass(frozen=True, slots=True)
class WriteFilter:
    """A filter for receipts; None matches every write. ``by`` is the caller's name."""

    status: WriteStatus | None = None
    product_id: int | None = None
    by: str | None = None


class WriteRequest(NamedTuple):
    """A validated write before it is accepted; a create has no product id yet, unless it is a retry.

    ``compared`` must be equal in a repeat with the same idempotency key; None: compare the arguments.
    """

    operation: Operation
    product_id: int | None
    arguments: str
    retry_of: int | None = None
    compared: str | None = None


def size_bytes(arguments: str) -> int:
    """The size of a write in the backlog's byte limit."""
    return len(arguments.encode()) + ROW_OVERHEAD_BYTES


def request_write(
    operation: Operation,
    product_id: int | None,
    fields: Mapping[str, Any],
    sent: Mapping[str, Any] = MappingProxyType({}),
) -> WriteRequest:
    """A write that sets ``fields``, in the stored form from ``product.check_fields``.

    ``sent`` is what the client sent. Idempotency compares its texts unchanged: another version may store them in
    another form and must still recognise the same request.
    """
    if operation is Operation.CREATE:
        fields = {name: value for name, value in fields.items() if value is not None or name in _ALWAYS_WRITTEN}
    text = _encode(fields)
    changed = {
        name: value
        for name, value in sent.items()
        if isinstance(value, str) and name in fields and fields[name] != value
    }
    compared = _encode({**fields, **changed}) if changed else text
    return WriteRequest(operation, product_id, text, compared=compared)


def apply_write(write: Write, product: Product | None) -> Product | None:
    """The product after the write, None after a delete; pure, so that a batch is computed before any SQL runs.

    ``product`` is the state before, None if it does not exist. Raises WriteError if the write can never be applied.
    """
    try:
        return _next_state(write, product)
    except (TypeError, ValueError) as error:  # written by another version, or damaged
        raise WriteError(
            WriteErrorCode.UNREADABLE, f"The arguments of write {write.id} cannot be read: {error}"
        ) from error


def _next_state(write: Write, product: Product | None) -> Product | None:
    if write.operation == Operation.CREATE:
        if product is not None:
            raise WriteError(WriteErrorCode.PRODUCT_EXISTS, f"Product {write.product_id} exists already")
        now_us, fields = write.accepted_at_us, _ABSENT | _fields(write)
        return Product(id=write.product_id, created_at_us=now_us, updated_at_us=now_us, version=1, **fields)
    if product is None:
        raise WriteError(
            WriteErrorCode.PRODUCT_NOT_FOUND, f"Product {write.product_id} does not exist; nothing was changed"
        )
    if write.operation == Operation.DELETE:
        return None
    return product._replace(**_fields(write), updated_at_us=write.accepted_at_us, version=product.version + 1)


def _fields(write: Write) -> dict[str, Any]:
    fields = composed_fields(json.loads(write.arguments))
    if unknown := set(fields).difference(_STORED):
        raise WriteError(
            WriteErrorCode.UNREADABLE,
            f"Write {write.id} sets {', '.join(sorted(unknown))}, which this version does not know: start the version "
            "that accepted it, and queue the write again with retryWrite",
        )
    return fields
