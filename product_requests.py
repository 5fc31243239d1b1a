"""Turns the arguments of a mutation into writes, and what came of them into the mutation's answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import product as rules
from accepting import NotAcceptedError, Refusal
from connections import id_or_none
from processing.counts import counted
from product import FieldProblem, Product
from product_pages import Receipt, Shelf
from request_context import Context
from writes import Operation, Write, WriteRequest, WriteStatus, request_write

PRODUCTS_AT_ONCE_MAX = 1_000
KEY_MAX = 255


class RequestProblem(StrEnum):
    """What can be wrong with a mutation beside the values of its fields and the queue's refusals."""

    INVALID_ID = "INVALID_ID"
    INVALID_KEY = "INVALID_KEY"
    NOTHING_TO_CHANGE = "NOTHING_TO_CHANGE"
    WRONG_NUMBER = "WRONG_NUMBER"
    WRITE_NOT_FOUND = "WRITE_NOT_FOUND"
    WRITE_NOT_FAILED = "WRITE_NOT_FAILED"
    WRITE_PENDING = "WRITE_PENDING"
    WRITE_FAILED = "WRITE_FAILED"


@dataclass(frozen=True, slots=True)
class UserError:
    """What a client can mend: the path of the argument (None: all of the request), why, what to do."""

    field: list[str] | None
    message: str
    code: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a mutation answers; ``success`` is True only when everything it asked for is on disk."""

    success: bool
    message: str
    errors: list[UserError] = field(default_factory=list)
    writes: list[Receipt] = field(default_factory=list)
    product: Product | None = None

    @property
    def write(self) -> Receipt | None:
        """The receipt of a mutation that makes one write."""
        return self.writes[0] if self.writes else None


class _Refused(Exception):
    def __init__(self, errors: list[UserError]) -> None:
        super().__init__(errors)
        self.errors = errors


def create(context: Context, fields: Mapping[str, Any], key: str | None) -> Answer:
    """Queue the creation of one product."""
    return _answer(
        context,
        lambda: [_create_request(fields, [])],
        key,
        f"Product '{fields.get('title')}' queued for creation",
    )


def create_many(context: Context, products: Sequence[Mapping[str, Any]], key: str | None) -> Answer:
    """Queue the creation of many products: all in one commit of the journal, or none."""
    return _answer(
        context,
        lambda: _create_requests(products),
        key,
        f"{counted(len(products), 'product')} queued for creation",
    )


def update(context: Context, product_id: str, fields: Mapping[str, Any], key: str | None) -> Answer:
    """Queue an update of the fields that are given."""
    return _answer(
        context,
        lambda: [_update_request(product_id, fields)],
        key,
        f"Product {product_id} queued for update",
    )


def delete(context: Context, product_id: str, key: str | None) -> Answer:
    """Queue the deletion of a product."""
    return _answer(
        context,
        lambda: [request_write(Operation.DELETE, _product_id(product_id), {})],
        key,
        f"Product {product_id} queued for deletion",
    )


def retry(context: Context, write_id: str, key: str | None) -> Answer:
    """Queue a FAILED write again, as a new write that names the old one."""
    return _answer(
        context, lambda: [_retry_request(context, write_id)], key, f"Write {write_id} queued again"
    )


def create_sync(context: Context, fields: Mapping[str, Any], key: str | None) -> Answer:
    """Create one product and wait until it is applied, for the wait's limit at the most."""
    accepted = create(context, fields, key)
    if accepted.write is None:
        return accepted
    write = accepted.write.write
    settled = (
        write if write.status != WriteStatus.QUEUED else context.queue.wait(write.id, context.wait_seconds)
    )
    if settled is None:
        message = f"Write {write.id} is accepted and still waits: nothing is lost or undone, ask for it later"
        errors = [UserError(None, message, RequestProblem.WRITE_PENDING.value)]
        return Answer(success=False, message=message, errors=errors, writes=accepted.writes)
    receipts = _receipts(context, [settled])
    if settled.status == WriteStatus.FAILED:
        message = f"The product was not created: {settled.error_message}"
        errors = [UserError(None, message, RequestProblem.WRITE_FAILED.value)]
        return Answer(success=False, message=message, errors=errors, writes=receipts)
    return Answer(
        success=True,
        message=f"Product '{fields.get('title')}' created",
        writes=receipts,
        product=receipts[0].shelf.get(settled.product_id),
    )


def _answer(context: Context, requests: Any, key: str | None, message: str) -> Answer:
    try:
        _check_key(key)
        writes = context.queue.accept(requests(), key, context.by)
    except _Refused as refused:
        first = refused.errors[0].message
        more = f" (and {len(refused.errors) - 1} more)" if len(refused.errors) > 1 else ""
        return Answer(success=False, message=f"Nothing was queued: {first}{more}", errors=refused.errors)
    except NotAcceptedError as error:
        errors = [UserError(None, error.message, error.refusal.value)]
        return Answer(success=False, message=error.message, errors=errors)
    return Answer(success=True, message=message, writes=_receipts(context, writes))


def _receipts(context: Context, writes: Sequence[Write]) -> list[Receipt]:
    shelf = Shelf(context, writes)
    return [Receipt(write, shelf) for write in writes]


def _create_request(fields: Mapping[str, Any], path: list[str]) -> WriteRequest:
    return request_write(Operation.CREATE, None, _checked(fields, path, creating=True), fields)


def _create_requests(products: Sequence[Mapping[str, Any]]) -> list[WriteRequest]:
    if not 1 <= len(products) <= PRODUCTS_AT_ONCE_MAX:
        raise _refuse(
            ["products"],
            f"products has {len(products):,} items: give 1 to {PRODUCTS_AT_ONCE_MAX:,}",
            RequestProblem.WRONG_NUMBER,
        )
    requests, errors = [], []
    for number, fields in enumerate(products):
        try:
            requests.append(_create_request(fields, ["products", str(number)]))
        except _Refused as refused:
            errors += refused.errors
    if errors:
        raise _Refused(errors)
    return requests


def _update_request(product_id: str, fields: Mapping[str, Any]) -> WriteRequest:
    number = _product_id(product_id)
    if not fields:
        raise _refuse(
            None,
            "No field to change is given: give at least one beside productId",
            RequestProblem.NOTHING_TO_CHANGE,
        )
    return request_write(Operation.UPDATE, number, _checked(fields, [], creating=False), fields)


def _retry_request(context: Context, write_id: str) -> WriteRequest:
    number = id_or_none(write_id)
    old = None if number is None else context.queue.find(number)
    if old is None:
        raise _refuse(["id"], f"There is no write {write_id!r}", RequestProblem.WRITE_NOT_FOUND)
    if old.status != WriteStatus.FAILED:
        raise _refuse(
            ["id"],
            f"Write {old.id} is {old.status}: only a FAILED one can be queued again",
            RequestProblem.WRITE_NOT_FAILED,
        )
    return WriteRequest(Operation(old.operation), old.product_id, old.arguments, retry_of=old.id)


def _checked(fields: Mapping[str, Any], path: list[str], *, creating: bool) -> dict[str, Any]:
    checked, refused = rules.check_fields(fields, creating=creating)
    if refused:
        raise _Refused(
            [
                UserError(
                    [*path, _shown(error.field)], f"{_shown(error.field)} {error.detail}", error.problem.value
                )
                for error in refused
            ]
        )
    return checked


def _product_id(text: str) -> int:
    number = id_or_none(text)
    if number is None:
        raise _refuse(
            ["productId"],
            f"productId is {text[:60]!r}: give the whole number of a product",
            RequestProblem.INVALID_ID,
        )
    return number


def _check_key(key: str | None) -> None:
    if key is None:
        return
    if not 1 <= len(key) <= KEY_MAX:
        problem = f"has {len(key)} characters: give 1 to {KEY_MAX} printable ones"
    elif found := rules.unprintable_character(key):
        problem = f"has the character U+{ord(found):04X}, which is not printable: remove it"
    else:
        return
    raise _refuse(["idempotencyKey"], f"idempotencyKey {problem}", RequestProblem.INVALID_KEY)


def _refuse(path: list[str] | None, message: str, code: RequestProblem) -> _Refused:
    return _Refused([UserError(path, message, code.value)])


def _shown(field_name: str) -> str:
    """The name of a field in the API: rating_rate is ratingRate there."""
    head, *rest = field_name.split("_")
    return head + "".join(map(str.capitalize, rest))


USER_ERROR_CODES: dict[str, str] = {
    code.name: code.value for codes in (FieldProblem, RequestProblem, Refusal) for code in codes
}
