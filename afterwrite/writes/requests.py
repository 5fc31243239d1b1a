"""Validates the arguments of mutations and accepts them as writes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from afterwrite.base.refusals import Problem, Refused
from afterwrite.base.text import camel_case, unprintable_character
from afterwrite.graphql_http import RequestError
from afterwrite.reads.connections import Page, check_name, check_page_size, id_or_none, newest_first, parse_id
from afterwrite.resources.compiled import RULE_FAILED, CompiledResource, Record
from afterwrite.resources.field import FieldError, FieldProblem
from afterwrite.resources.operations import CompiledOperation
from afterwrite.resources.write import Operation, Write, WriteFilter, WriteRequest, WriteStatus, request_write
from afterwrite.writes.accepting import Refusal
from afterwrite.writes.queue import WriteQueue

RECORDS_AT_ONCE_MAX = 1_000
KEY_MAX = 255


class RequestProblem(StrEnum):
    """Problems of a mutation other than field values and refusals of the queue."""

    INVALID_ID = "INVALID_ID"
    INVALID_KEY = "INVALID_KEY"
    INVALID_VERSION = "INVALID_VERSION"
    NOTHING_TO_CHANGE = "NOTHING_TO_CHANGE"
    WRONG_NUMBER = "WRONG_NUMBER"
    RULE_FAILED = RULE_FAILED
    WRITE_NOT_FOUND = "WRITE_NOT_FOUND"
    WRITE_NOT_FAILED = "WRITE_NOT_FAILED"
    WRITE_PENDING = "WRITE_PENDING"
    WRITE_FAILED = "WRITE_FAILED"


class OnError(StrEnum):
    """What becomes of a request for several writes if some of them are invalid."""

    REFUSE_ALL = "REFUSE_ALL"
    ACCEPT_VALID = "ACCEPT_VALID"


class Several(NamedTuple):
    """The accepted writes of a request for several, and why the others were refused."""

    writes: list[Write]
    problems: list[Problem]


PROBLEM_CODES: dict[str, str] = {
    code.name: code.value for codes in (FieldProblem, RequestProblem, Refusal) for code in codes
}


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
    return _accept(queue, key, by, lambda: [_create_request(resource, fields, [])])[0]


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
        queue, camel_case(resource.plural), records, partial(_create_request, resource), key, by, on_error
    )


def upsert(
    queue: WriteQueue, resource: CompiledResource, fields: Mapping[str, Any], key: str | None, by: str | None
) -> Write:
    """Accept the update of the record that has the value of ``upsert_key``, or its creation; raises Refused.

    The writer decides which, so the receipt names the record once it is settled.
    """
    return _accept(queue, key, by, lambda: [_upsert_request(resource, fields)])[0]


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
        return _update_request(resource, str(record_id), fields, if_version, path)

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
        return request_write(resource, Operation.DELETE, _record_id(resource, record_id, path), {})

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
    return _accept(queue, key, by, lambda: [_update_request(resource, record_id, fields, if_version)])[0]


def delete(
    queue: WriteQueue,
    resource: CompiledResource,
    record_id: str,
    key: str | None,
    by: str | None,
    if_version: int | None = None,
) -> Write:
    """Accept the deletion of a record, of that version if one is given; raises Refused."""
    return _accept(
        queue,
        key,
        by,
        lambda: [
            request_write(
                resource, Operation.DELETE, _record_id(resource, record_id), {}, if_version=_version(if_version)
            )
        ],
    )[0]


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
    return _accept(queue, key, by, lambda: [_operation_request(resource, operation, record_id, arguments, if_version)])[
        0
    ]


def retry(queue: WriteQueue, write_id: str, key: str | None, by: str | None) -> Write:
    """Accept a FAILED write again, as a new write that references the old one; raises Refused."""
    return _accept(queue, key, by, lambda: [_retry_request(queue, write_id)])[0]


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
    _check_key(key)
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
        raise _refuse([name], message, RequestProblem.WRONG_NUMBER)
    valid, problems = [], []
    for number, item in enumerate(items):
        try:
            valid.append(request(item, [name, str(number)]))
        except Refused as refused:
            problems += refused.problems
    if problems and (on_error is OnError.REFUSE_ALL or not valid):
        raise _refused(problems)
    return Several(_accept(queue, key, by, lambda: valid), problems)


def _create_request(resource: CompiledResource, fields: Mapping[str, Any], path: list[str]) -> WriteRequest:
    checked = _checked(resource, resource.check_new(fields), fields, path)
    if broken := resource.broken_rule(checked):
        raise _refused([Problem(path or None, broken.message, broken.code)])
    return request_write(resource, Operation.CREATE, None, checked, fields)


def _upsert_request(resource: CompiledResource, fields: Mapping[str, Any]) -> WriteRequest:
    checked = _checked(resource, resource.check_new(fields), fields, [])
    given = {resource.fields[name].column: checked[resource.fields[name].column] for name in fields}
    return request_write(resource, Operation.UPSERT, None, given, fields)


def _update_request(
    resource: CompiledResource,
    record_id: str,
    fields: Mapping[str, Any],
    if_version: int | None,
    path: Sequence[str] = (),
) -> WriteRequest:
    number = _record_id(resource, record_id, [*path, camel_case(resource.id_name)])
    version = _version(if_version, path)
    if not fields:
        wanted = camel_case(resource.id_name)
        message = f"No field to change is given: give at least one besides {wanted}"
        raise _refuse(list(path) or None, message, RequestProblem.NOTHING_TO_CHANGE)
    checked = _checked(resource, resource.check_changes(fields), fields, path)
    return request_write(resource, Operation.UPDATE, number, checked, fields, version)


def _operation_request(
    resource: CompiledResource,
    operation: CompiledOperation,
    record_id: str,
    arguments: Mapping[str, Any],
    if_version: int | None,
) -> WriteRequest:
    number, version = _record_id(resource, record_id), _version(if_version)
    checked, refused = operation.check(arguments)
    if refused:
        raise _refused([_problem(error, []) for error in refused])
    return request_write(resource, operation.code, number, checked, arguments, version)


def _retry_request(queue: WriteQueue, write_id: str) -> WriteRequest:
    number = id_or_none(write_id)
    old = None if number is None else queue.find(number)
    if old is None:
        raise _refuse(["id"], f"There is no write {write_id!r}", RequestProblem.WRITE_NOT_FOUND)
    if old.status != WriteStatus.FAILED:
        raise _refuse(
            ["id"],
            f"Write {old.id} is {old.status}: only a FAILED one can be queued again",
            RequestProblem.WRITE_NOT_FAILED,
        )
    request = WriteRequest(old.resource, old.operation, old.record_id, old.arguments, retry_of=old.id)
    return request._replace(if_version=old.if_version)


def _checked(
    resource: CompiledResource,
    checked: tuple[dict[str, Any], list[FieldError]],
    given: Mapping[str, Any],
    path: Sequence[str],
) -> dict[str, Any]:
    stored, refused = checked
    if unknown := given.keys() - resource.fields.keys():
        detail = f"is no field of {resource.name}: remove it"
        refused = [*refused, *(FieldError(name, FieldProblem.UNKNOWN_FIELD, detail) for name in sorted(unknown))]
    if refused:
        raise _refused([_problem(error, path) for error in refused])
    return stored


def _problem(error: FieldError, path: Sequence[str]) -> Problem:
    name = camel_case(error.field)
    return Problem([*path, name], f"{name} {error.detail}", error.problem.value)


def _record_id(resource: CompiledResource, text: str, path: Sequence[str] | None = None) -> int:
    number, name = id_or_none(text), camel_case(resource.id_name)
    if number is None:
        message = f"{name} is {text[:60]!r}: give the whole number of {resource.article} {resource.noun}"
        raise _refuse([name] if path is None else [*path], message, RequestProblem.INVALID_ID)
    return number


def _version(if_version: int | None, path: Sequence[str] = ()) -> int | None:
    if if_version is not None and if_version < 1:
        message = f"ifVersion is {if_version}: give the version that you read, 1 or more"
        raise _refuse([*path, "ifVersion"], message, RequestProblem.INVALID_VERSION)
    return if_version


def _check_key(key: str | None) -> None:
    if key is None:
        return
    if not 1 <= len(key) <= KEY_MAX:
        problem = f"has {len(key)} characters: give 1 to {KEY_MAX} printable ones"
    elif found := unprintable_character(key):
        problem = f"has the character U+{ord(found):04X}, which is not printable: remove it"
    else:
        return
    raise _refuse(["idempotencyKey"], f"idempotencyKey {problem}", RequestProblem.INVALID_KEY)


def _refuse(path: list[str] | None, message: str, code: RequestProblem) -> Refused:
    return _refused([Problem(path, message, code.value)])


def _refused(problems: list[Problem]) -> Refused:
    refused = Refused(problems)
    return Refused(problems, f"Nothing was queued: {refused.message}")
