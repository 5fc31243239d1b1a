"""Validates the arguments of mutations and accepts them as writes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from afterwrite.base.refusals import Problem, Refused
from afterwrite.base.text import camel_case
from afterwrite.graphql_http import RequestError
from afterwrite.reads.connections import Page, check_name, check_page_size, newest_first, parse_id
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.operations import CompiledOperation
from afterwrite.resources.write import Write, WriteFilter, WriteRequest, WriteStatus
from afterwrite.writes.queue import WriteQueue
from afterwrite.writes.request_checks import (
    RequestProblem,
    check_key,
    create_request,
    delete_request,
    operation_request,
    refusal,
    refuse,
    retry_request,
    update_request,
    upsert_request,
)

RECORDS_AT_ONCE_MAX = 1_000


class OnError(StrEnum):
    """What becomes of a request for several writes if some of them are invalid."""

    REFUSE_ALL = "REFUSE_ALL"
    ACCEPT_VALID = "ACCEPT_VALID"


class Several(NamedTuple):
    """The accepted writes of a request for several, and why the others were refused."""

    writes: list[Write]
    problems: list[Problem]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a mutation; ``success`` is True only if all of it is on disk."""

    success: bool
    message: str
    errors: list[Problem] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    record: Record | None = None

    @property
    def write(self) -> Write | None:
        """The receipt, for mutations with one write."""
        return self.writes[0] if self.writes else None


def answer_of(accept: Callable[[], Write | Several], message: str) -> Answer:
    """The answer with the writes that ``accept`` returns, or with the reasons why it refused."""
    try:
        accepted = accept()
    except Refused as refused:
        return Answer(success=False, message=refused.message, errors=refused.problems)
    if isinstance(accepted, Write):
        return Answer(success=True, message=message, writes=[accepted])
    return Answer(success=True, message=message, errors=accepted.problems, writes=accepted.writes)


def create(
    queue: WriteQueue, resource: CompiledResource, fields: Mapping[str, Any], key: str | None, by: str | None
) -> Write:
    """Accept the creation of a record; raises Refused."""
    return _accept(queue, key, by, lambda: [create_request(resource, fields)])[0]


def create_many(
    queue: WriteQueue,
    resource: CompiledResource,
    records: Sequence[Mapping[str, Any]],
    key: str | None,
    by: str | None,
    on_error: OnError = OnError.REFUSE_ALL,
) -> Several:
    """Accept the creation of up to 1,000 records in one commit of the journal; raises Refused."""
    return _accept_many(
        queue, camel_case(resource.plural), records, partial(create_request, resource), key, by, on_error
    )


def upsert(
    queue: WriteQueue, resource: CompiledResource, fields: Mapping[str, Any], key: str | None, by: str | None
) -> Write:
    """Accept the update of the record that has the value of ``upsert_key``, or its creation; raises Refused.

    The writer decides which, so the receipt names the record once it is settled.
    """
    return _accept(queue, key, by, lambda: [upsert_request(resource, fields)])[0]


def update_many(
    queue: WriteQueue,
    resource: CompiledResource,
    changes: Sequence[Mapping[str, Any]],
    key: str | None,
    by: str | None,
    on_error: OnError = OnError.REFUSE_ALL,
) -> Several:
    """Accept up to 1,000 updates in one commit of the journal; raises Refused.

    Each has the id of its record, the fields to change, and ``if_version`` if it is for that version only.
    """

    def request(change: Mapping[str, Any], path: list[str]) -> WriteRequest:
        fields = dict(change)
        record_id, if_version = fields.pop(resource.id_name, ""), fields.pop("if_version", None)
        return update_request(resource, str(record_id), fields, if_version, path)

    return _accept_many(queue, camel_case(resource.plural), changes, request, key, by, on_error)


def delete_many(
    queue: WriteQueue,
    resource: CompiledResource,
    record_ids: Sequence[str],
    key: str | None,
    by: str | None,
    on_error: OnError = OnError.REFUSE_ALL,
) -> Several:
    """Accept the deletion of up to 1,000 records in one commit of the journal; raises Refused."""

    def request(record_id: str, path: list[str]) -> WriteRequest:
        return delete_request(resource, record_id, path=path)

    return _accept_many(queue, f"{camel_case(resource.id_name)}s", record_ids, request, key, by, on_error)


def update(
    queue: WriteQueue,
    resource: CompiledResource,
    record_id: str,
    fields: Mapping[str, Any],
    key: str | None,
    by: str | None,
    if_version: int | None = None,
) -> Write:
    """Accept an update of the given fields, of that version if one is given; raises Refused."""
    return _accept(queue, key, by, lambda: [update_request(resource, record_id, fields, if_version)])[0]


def delete(
    queue: WriteQueue,
    resource: CompiledResource,
    record_id: str,
    key: str | None,
    by: str | None,
    if_version: int | None = None,
) -> Write:
    """Accept the deletion of a record, of that version if one is given; raises Refused."""
    return _accept(queue, key, by, lambda: [delete_request(resource, record_id, if_version)])[0]


def operate(
    queue: WriteQueue,
    resource: CompiledResource,
    operation: CompiledOperation,
    record_id: str,
    arguments: Mapping[str, Any],
    key: str | None,
    by: str | None,
    if_version: int | None = None,
) -> Write:
    """Accept an operation of the resource itself; raises Refused."""
    return _accept(queue, key, by, lambda: [operation_request(resource, operation, record_id, arguments, if_version)])[
        0
    ]


def retry(queue: WriteQueue, write_id: str, key: str | None, by: str | None) -> Write:
    """Accept a FAILED write again, as a new write that references the old one; raises Refused."""
    return _accept(queue, key, by, lambda: [retry_request(queue, write_id)])[0]


def settled(queue: WriteQueue, write: Write, wait_seconds: float) -> Write | None:
    """The write once it is settled, or None after ``wait_seconds``."""
    return write if write.status != WriteStatus.QUEUED else queue.wait(write.id, wait_seconds)


def await_write(queue: WriteQueue, after_write: str | None, wait_seconds: float) -> None:
    """Read your own writes: wait at most ``wait_seconds`` until a write is settled. Raises RequestError."""
    if after_write is None:
        return
    write_id = parse_id("afterWrite", after_write)
    if not queue.knows(write_id):
        raise RequestError(f"afterWrite is {after_write!r}: there is no such write")
    if queue.is_settled(write_id):
        return
    if queue.wait(write_id, wait_seconds) is None and not queue.is_settled(write_id):
        raise RequestError(
            f"Write {write_id} is accepted and still waits: nothing is lost, ask again later",
            code="WRITE_PENDING",
            writeId=str(write_id),
        )


def receipts_page(queue: WriteQueue, wanted: WriteFilter, first: int, after: str | None) -> Page:
    """A page of receipts, newest first."""
    check_page_size("first", first)
    check_name(wanted.by)
    return newest_first(partial(queue.newest, wanted), first, after)


def _accept(
    queue: WriteQueue, key: str | None, by: str | None, requests: Callable[[], Sequence[WriteRequest]]
) -> list[Write]:
    check_key(key)
    return queue.accept(requests(), key, by)


def _accept_many(
    queue: WriteQueue,
    name: str,
    items: Sequence[Any],
    request: Callable[[Any, list[str]], WriteRequest],
    key: str | None,
    by: str | None,
    on_error: OnError,
) -> Several:
    """Accept a write for each item of the argument ``name``, all or, with ACCEPT_VALID, those that are valid."""
    if not 1 <= len(items) <= RECORDS_AT_ONCE_MAX:
        message = f"{name} has {len(items):,} items: give 1 to {RECORDS_AT_ONCE_MAX:,}"
        raise refuse([name], message, RequestProblem.WRONG_NUMBER)
    valid, problems = [], []
    for number, item in enumerate(items):
        try:
            valid.append(request(item, [name, str(number)]))
        except Refused as refused:
            problems += refused.problems
    if problems and (on_error is OnError.REFUSE_ALL or not valid):
        raise refusal(problems)
    return Several(_accept(queue, key, by, lambda: valid), problems)
