"""Writes: the request and the receipt."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from afterwrite.base.times import from_microseconds

if TYPE_CHECKING:
    from afterwrite.resources.compiled import CompiledResource

ROW_OVERHEAD_BYTES = 64
_encode_as_ever = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
# orjson writes these floats as the standard library does, others with another exponent.
_LEAST_ALIKE, _MOST_ALIKE = 1e-4, 1e16


class Operation(StrEnum):
    """What a write does, unless it is an operation of the resource itself."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    UPSERT = "UPSERT"


MAKES_RECORDS = (Operation.CREATE.value, Operation.UPSERT.value)
"""The operations whose writes get the id of a new record, even if they fail."""


class WriteStatus(StrEnum):
    """QUEUED in the journal, then APPLIED or FAILED in the ledger, which is final."""

    QUEUED = "QUEUED"
    APPLIED = "APPLIED"
    FAILED = "FAILED"


class WriteErrorCode(StrEnum):
    """Why a write FAILED; each resource has two more, such as ``PRODUCT_NOT_FOUND`` and ``PRODUCT_EXISTS``."""

    CONSTRAINT_VIOLATED = "CONSTRAINT_VIOLATED"
    NOT_UNIQUE = "NOT_UNIQUE"
    OPERATION_FAILED = "OPERATION_FAILED"
    REFERENCED = "REFERENCED"
    REFERENCE_NOT_FOUND = "REFERENCE_NOT_FOUND"
    UNREADABLE = "UNREADABLE"
    VERSION_CONFLICT = "VERSION_CONFLICT"


class WriteError(Exception):
    """A write that can never be applied."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = str(code), message


class OperationError(WriteError):
    """An operation or a rule raised an error that is none of its own: the log has its traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(WriteErrorCode.OPERATION_FAILED, message)


class WriteFailure(NamedTuple):
    """The error of a FAILED write."""

    code: str
    message: str


class Write(NamedTuple):
    """A write and its receipt.

    ``operation`` is one of Operation or the code of the resource's own, ``arguments`` the JSON text of the stored
    fields that it sets or of the operation's arguments. ``if_version`` is the version that the record must have.
    ``accepted_by`` names the caller, None: anonymous.
    """

    id: int
    resource: str
    operation: str
    record_id: int
    arguments: str
    accepted_at_us: int
    retry_of: int | None = None
    accepted_by: str | None = None
    if_version: int | None = None
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
    resource: str | None = None
    record_id: int | None = None
    by: str | None = None


class WriteRequest(NamedTuple):
    """A validated write before it is accepted; a create has no record id yet, unless it is a retry.

    ``compared`` must be equal in a repeat with the same idempotency key; None: compare the arguments.
    """

    resource: str
    operation: str
    record_id: int | None
    arguments: str
    retry_of: int | None = None
    compared: str | None = None
    if_version: int | None = None


def size_bytes(arguments: str) -> int:
    """The size of a write in the backlog's byte limit."""
    return (len(arguments) if arguments.isascii() else len(arguments.encode())) + ROW_OVERHEAD_BYTES


def request_write(
    resource: "CompiledResource",
    operation: str,
    record_id: int | None,
    fields: Mapping[str, Any],
    sent: Mapping[str, Any] = MappingProxyType({}),
    if_version: int | None = None,
) -> WriteRequest:
    """A write that sets ``fields``, in the stored form from the resource's checks, or that has these arguments.

    ``sent`` is what the client sent. Idempotency compares its texts unchanged: another version may store them in
    another form and must still recognise the same request.
    """
    fields = resource.written(operation, fields)
    text = _encode(fields)
    chosen = resource.sent_fields(fields, sent) if operation == Operation.CREATE else fields
    changed = {
        name: value for name, value in sent.items() if isinstance(value, str) and fields.get(name, value) != value
    }
    compared = _encode({**chosen, **changed}) if changed or chosen is not fields else text
    return WriteRequest(resource.name, str(operation), record_id, text, None, compared, if_version)


def _encode(fields: Mapping[str, Any]) -> str:
    """The JSON of stored values, sorted by name; its form never changes: idempotency keys are compared by it."""
    for value in fields.values():
        if type(value) is float and value and not _LEAST_ALIKE <= abs(value) < _MOST_ALIKE:
            return _encode_as_ever(fields)
    try:
        return str(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS), "utf-8")
    except TypeError:  # a whole number of more than 64 bits, or half of a surrogate pair
        return _encode_as_ever(fields)
