"""Makes checked write requests of what a client asks for; raises Refused with every problem."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from afterwrite.base.refusals import Problem, Refused
from afterwrite.base.text import camel_case, unprintable_character
from afterwrite.reads.connections import id_or_none
from afterwrite.resources.compiled import RULE_FAILED, CompiledResource
from afterwrite.resources.field import FieldError, FieldProblem
from afterwrite.resources.operations import CompiledOperation
from afterwrite.resources.write import Operation, WriteRequest, WriteStatus, request_write
from afterwrite.writes.accepting import Refusal
from afterwrite.writes.queue import WriteQueue

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


PROBLEM_CODES: dict[str, str] = {
    code.name: code.value for codes in (FieldProblem, RequestProblem, Refusal) for code in codes
}


def create_request(resource: CompiledResource, fields: Mapping[str, Any], path: Sequence[str] = ()) -> WriteRequest:
    """The creation of a record; ``path`` is where the fields stand in the request, here and below."""
    checked = _checked(resource, resource.check_new(fields), fields, path)
    if broken := resource.broken_rule(checked):
        raise refusal([Problem([*path] or None, broken.message, broken.code)])
    return request_write(resource, Operation.CREATE, None, checked, fields)


def upsert_request(resource: CompiledResource, fields: Mapping[str, Any]) -> WriteRequest:
    """The update or creation of the record with this value of ``upsert_key``."""
    checked = _checked(resource, resource.check_new(fields), fields, [])
    given = {resource.fields[name].column: checked[resource.fields[name].column] for name in fields}
    return request_write(resource, Operation.UPSERT, None, given, fields)


def update_request(
    resource: CompiledResource,
    record_id: str,
    fields: Mapping[str, Any],
    if_version: int | None,
    path: Sequence[str] = (),
) -> WriteRequest:
    """The change of the given fields."""
    number = _record_number(resource, record_id, [*path, camel_case(resource.id_name)])
    version = _version(if_version, path)
    if not fields:
        wanted = camel_case(resource.id_name)
        message = f"No field to change is given: give at least one besides {wanted}"
        raise refuse(list(path) or None, message, RequestProblem.NOTHING_TO_CHANGE)
    checked = _checked(resource, resource.check_changes(fields), fields, path)
    return request_write(resource, Operation.UPDATE, number, checked, fields, version)


def delete_request(
    resource: CompiledResource, record_id: str, if_version: int | None = None, path: Sequence[str] | None = None
) -> WriteRequest:
    """The deletion of a record; ``path`` is where its id stands in the request."""
    number = _record_number(resource, record_id, path)
    return request_write(resource, Operation.DELETE, number, {}, if_version=_version(if_version))


def operation_request(
    resource: CompiledResource,
    operation: CompiledOperation,
    record_id: str,
    arguments: Mapping[str, Any],
    if_version: int | None,
) -> WriteRequest:
    number, version = _record_number(resource, record_id), _version(if_version)
    checked, refused = operation.check(arguments)
    if refused:
        raise refusal([_problem(error, []) for error in refused])
    return request_write(resource, operation.code, number, checked, arguments, version)


def retry_request(queue: WriteQueue, write_id: str) -> WriteRequest:
    number = id_or_none(write_id)
    old = None if number is None else queue.find(number)
    if old is None:
        raise refuse(["id"], f"There is no write {write_id!r}", RequestProblem.WRITE_NOT_FOUND)
    if old.status != WriteStatus.FAILED:
        raise refuse(
            ["id"],
            f"Write {old.id} is {old.status}: only a FAILED one can be queued again",
            RequestProblem.WRITE_NOT_FAILED,
        )
    # The writer looks up the record of an upsert again; a new record gets a new id.
    number = None if old.operation == Operation.UPSERT else old.record_id
    request = WriteRequest(old.resource, old.operation, number, old.arguments, retry_of=old.id)
    return request._replace(if_version=old.if_version)


def _checked(
    resource: CompiledResource,
    checked: tuple[dict[str, Any], list[FieldError]],
    given: Mapping[str, Any],
    path: Sequence[str],
) -> dict[str, Any]:
    stored, refused = checked
    if not given.keys() <= resource.fields.keys():
        unknown, detail = given.keys() - resource.fields.keys(), f"is no field of {resource.name}: remove it"
        refused = [*refused, *(FieldError(name, FieldProblem.UNKNOWN_FIELD, detail) for name in sorted(unknown))]
    if refused:
        raise refusal([_problem(error, path) for error in refused])
    return stored


def _problem(error: FieldError, path: Sequence[str]) -> Problem:
    name = camel_case(error.field)
    return Problem([*path, name], f"{name} {error.detail}", error.problem.value)


def _record_number(resource: CompiledResource, text: str, path: Sequence[str] | None = None) -> int:
    number, name = id_or_none(text), camel_case(resource.id_name)
    if number is None:
        message = f"{name} is {text[:60]!r}: give the whole number of {resource.article} {resource.noun}"
        raise refuse([name] if path is None else [*path], message, RequestProblem.INVALID_ID)
    return number


def _version(if_version: int | None, path: Sequence[str] = ()) -> int | None:
    if if_version is not None and if_version < 1:
        message = f"ifVersion is {if_version}: give the version that you read, 1 or more"
        raise refuse([*path, "ifVersion"], message, RequestProblem.INVALID_VERSION)
    return if_version


def check_key(key: str | None) -> None:
    if key is None:
        return
    if not 1 <= len(key) <= KEY_MAX:
        problem = f"has {len(key)} characters: give 1 to {KEY_MAX} printable ones"
    elif found := unprintable_character(key):
        problem = f"has the character U+{ord(found):04X}, which is not printable: remove it"
    else:
        return
    raise refuse(["idempotencyKey"], f"idempotencyKey {problem}", RequestProblem.INVALID_KEY)


def refuse(path: list[str] | None, message: str, code: RequestProblem) -> Refused:
    return refusal([Problem(path, message, code.value)])


def refusal(problems: list[Problem]) -> Refused:
    refused = Refused(problems)
    return Refused(problems, f"Nothing was queued: {refused.message}")
