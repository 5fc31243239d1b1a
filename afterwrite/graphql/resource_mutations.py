"""The GraphQL mutations of a resource: create, update, delete and its own operations, one record or many."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import graphene
from graphene.types.resolver import dict_or_attr_resolver

from afterwrite.base.counts import counted
from afterwrite.base.refusals import Problem
from afterwrite.base.text import camel_case
from afterwrite.graphql.fields import resolver_of
from afterwrite.graphql.receipts import Key, Receipts
from afterwrite.graphql.resource_types import ResourceTypes
from afterwrite.resources.api_names import pascal_case
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.operations import CompiledOperation
from afterwrite.resources.write import Write, WriteStatus
from afterwrite.service.context import Context
from afterwrite.writes import requests
from afterwrite.writes.request_checks import RequestProblem
from afterwrite.writes.requests import Answer, OnError, answer_of

_IF_VERSION = "Apply it only to this version of the record: another one ends it FAILED with VERSION_CONFLICT"
_IN_ONE_COMMIT = ", in one commit."
_POLICIES = {
    OnError.REFUSE_ALL: "Queue none of them",
    OnError.ACCEPT_VALID: "Queue the valid ones; errors has the others",
}
OnErrorEnum = graphene.Enum.from_enum(
    OnError, description=lambda one: "What to do if some items are invalid." if one is None else _POLICIES[one]
)


def mutations_of(types: ResourceTypes, receipts: Receipts) -> dict[str, Any]:
    """The root fields that write records of a resource."""
    made = _Mutations(receipts)
    _add_creations(made, types, receipts)
    _add_changes(made, types, receipts)
    _add_operations(made, types)
    return made


def _add_creations(made: "_Mutations", types: ResourceTypes, receipts: Receipts) -> None:
    resource, noun, article = types.resource, types.resource.noun, types.resource.article
    plural = resource.plural.replace("_", " ")
    made.add(
        f"create_{resource.snake}",
        f"Queue the creation of {article} {noun}.",
        partial(_create, resource),
        types.new_arguments(),
    )
    made.add(
        f"create_{resource.snake}_sync",
        f"Create {article} {noun}, and answer when it is applied.",
        partial(_create_sync, resource),
        types.new_arguments(),
        _made_record(types),
    )
    made.add(
        f"create_{resource.plural}",
        f"Queue the creation of up to 1,000 {plural}{_IN_ONE_COMMIT}",
        partial(_create_many, resource),
        _several(resource.plural, types.input),
        receipts.many,
    )
    if resource.upsert_key is not None:
        key = camel_case(resource.upsert_key.name)
        made.add(
            f"upsert_{resource.snake}",
            f"Queue the update of the {noun} that has this {key}, or its creation if there is none.",
            partial(_upsert, resource),
            types.new_arguments(),
        )


def _add_changes(made: "_Mutations", types: ResourceTypes, receipts: Receipts) -> None:
    resource, of_version = types.resource, _of_version(types)
    plural = resource.plural.replace("_", " ")
    made.add(
        f"update_{resource.snake}",
        "Queue an update of the fields that are given; null empties an optional one.",
        partial(_update, resource),
        types.change_arguments() | of_version,
    )
    made.add(
        f"update_{resource.plural}",
        f"Queue up to 1,000 updates of {plural}{_IN_ONE_COMMIT}",
        partial(_update_many, resource),
        _several(resource.plural, types.change_input(of_version)),
        receipts.many,
    )
    made.add(
        f"delete_{resource.snake}",
        f"Queue the deletion of {resource.article} {resource.noun}.",
        partial(_delete, resource),
        of_version,
    )
    made.add(
        f"delete_{resource.plural}",
        f"Queue the deletion of up to 1,000 {plural}{_IN_ONE_COMMIT}",
        partial(_delete_many, resource),
        _several(f"{resource.id_name}s", graphene.ID),
        receipts.many,
    )


def _add_operations(made: "_Mutations", types: ResourceTypes) -> None:
    resource, of_version = types.resource, _of_version(types)
    for operation in resource.operations.values():
        given = {
            name: types.argument(argument.field, required=argument.is_needed, owner=operation.name)
            for name, argument in operation.arguments.items()
        }
        name = f"{operation.name}_{resource.snake}"
        made.add(name, operation.description, partial(_operate, resource, operation), given | of_version)
        made.add(
            f"{name}_sync",
            f"{operation.description} It answers when that is applied.",
            partial(_operate_sync, resource, operation),
            given | of_version,
            _made_record(types),
        )


def _of_version(types: ResourceTypes) -> dict[str, Any]:
    """The arguments that name a record and perhaps its version."""
    if_version = graphene.Int(description=_IF_VERSION)
    return {types.resource.id_name: graphene.ID(required=True), "if_version": if_version}


class _Mutations(dict[str, Any]):
    """The root fields of mutations by name."""

    def __init__(self, receipts: Receipts) -> None:
        super().__init__()
        self._receipts = receipts

    def add(
        self,
        name: str,
        description: str,
        mutate: Any,
        arguments: Mapping[str, Any],
        fields: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Add a mutation, whose payload has the receipt and more ``fields``."""
        members = {
            "__doc__": description,
            "Arguments": type("Arguments", (Key,), dict(arguments)),
            "mutate": resolver_of(mutate),
            **self._receipts.answered,
            **(self._receipts.one if fields is not self._receipts.many else {}),
            **fields,
        }
        made: Any = type(pascal_case(name), (graphene.Mutation,), members)
        self[name] = made.Field(required=True)


def _several(name: str, kind: Any) -> dict[str, Any]:
    """The arguments of a mutation of several records."""
    on_error = OnErrorEnum(default_value=OnError.REFUSE_ALL, description="What to do if some of them are invalid")
    return {name: graphene.List(graphene.NonNull(kind), required=True), "on_error": on_error}


def _made_record(types: ResourceTypes) -> dict[str, Any]:
    """The field of the payload with the record."""
    resolver = partial(dict_or_attr_resolver, "record", None)
    return {camel_case(types.resource.snake): graphene.Field(types.object, resolver=resolver)}


def _create(
    resource: CompiledResource, context: Context, /, idempotency_key: str | None = None, **fields: Any
) -> Answer:
    return answer_of(
        lambda: requests.create(context.queue, resource, fields, idempotency_key, context.by),
        f"{resource.label(fields)} queued for creation",
    )


def _create_sync(resource: CompiledResource, context: Context, /, **fields: Any) -> Answer:
    accepted = _create(resource, context, **fields)
    return _settled(
        resource, context, accepted, f"The {resource.noun} was not created", f"{resource.label(fields)} created"
    )


def _create_many(
    resource: CompiledResource, context: Context, /, on_error: OnError, idempotency_key: str | None = None, **given: Any
) -> Answer:
    records = given[resource.plural]
    return _several_answer(
        resource,
        lambda: requests.create_many(context.queue, resource, records, idempotency_key, context.by, _policy(on_error)),
        "creation",
    )


def _upsert(
    resource: CompiledResource, context: Context, /, idempotency_key: str | None = None, **fields: Any
) -> Answer:
    return answer_of(
        lambda: requests.upsert(context.queue, resource, fields, idempotency_key, context.by),
        f"{resource.label(fields)} queued for update or creation",
    )


def _update_many(
    resource: CompiledResource, context: Context, /, on_error: OnError, idempotency_key: str | None = None, **given: Any
) -> Answer:
    changes = given[resource.plural]
    return _several_answer(
        resource,
        lambda: requests.update_many(context.queue, resource, changes, idempotency_key, context.by, _policy(on_error)),
        "update",
    )


def _delete_many(
    resource: CompiledResource, context: Context, /, on_error: OnError, idempotency_key: str | None = None, **given: Any
) -> Answer:
    ids = given[f"{resource.id_name}s"]
    return _several_answer(
        resource,
        lambda: requests.delete_many(context.queue, resource, ids, idempotency_key, context.by, _policy(on_error)),
        "deletion",
    )


def _policy(on_error: str | None) -> OnError:
    return OnError.REFUSE_ALL if on_error is None else OnError(on_error)


def _several_answer(resource: CompiledResource, accept: Callable[[], requests.Several], act: str) -> Answer:
    answer = answer_of(accept, "")
    if not answer.success:
        return answer
    what = counted(len(answer.writes), resource.noun, resource.plural.replace("_", " "))
    return replace(answer, message=f"{what} queued for {act}")


def _update(
    resource: CompiledResource,
    context: Context,
    /,
    idempotency_key: str | None = None,
    if_version: int | None = None,
    **fields: Any,
) -> Answer:
    record_id = fields.pop(resource.id_name)
    return answer_of(
        lambda: requests.update(context.queue, resource, record_id, fields, idempotency_key, context.by, if_version),
        f"{resource.name} {record_id} queued for update",
    )


def _delete(
    resource: CompiledResource,
    context: Context,
    /,
    idempotency_key: str | None = None,
    if_version: int | None = None,
    **given: Any,
) -> Answer:
    record_id = given[resource.id_name]
    return answer_of(
        lambda: requests.delete(context.queue, resource, record_id, idempotency_key, context.by, if_version),
        f"{resource.name} {record_id} queued for deletion",
    )


def _operate(
    resource: CompiledResource,
    operation: CompiledOperation,
    context: Context,
    /,
    idempotency_key: str | None = None,
    if_version: int | None = None,
    **arguments: Any,
) -> Answer:
    record_id = arguments.pop(resource.id_name)
    return answer_of(
        lambda: requests.operate(
            context.queue, resource, operation, record_id, arguments, idempotency_key, context.by, if_version
        ),
        f"{resource.name} {record_id} queued for {operation.name}",
    )


def _operate_sync(
    resource: CompiledResource, operation: CompiledOperation, context: Context, /, **arguments: Any
) -> Answer:
    place = f"{operation.name} of {resource.name} {arguments[resource.id_name]}"
    accepted = _operate(resource, operation, context, **arguments)
    return _settled(resource, context, accepted, f"{place} was not applied", f"{place} applied")


def _settled(resource: CompiledResource, context: Context, accepted: Answer, failed: str, done: str) -> Answer:
    """The answer once its write is settled."""
    if accepted.write is None:
        return accepted
    write = requests.settled(context.queue, accepted.write, context.wait_seconds) or accepted.write
    match write.status:
        case WriteStatus.QUEUED:
            message = f"Write {write.id} is accepted and still waits: nothing is lost or undone, ask for it later"
            return _unsettled(write, RequestProblem.WRITE_PENDING, message)
        case WriteStatus.FAILED:
            return _unsettled(write, RequestProblem.WRITE_FAILED, f"{failed}: {write.error_message}")
    context.receipts([write])  # read again: an earlier field of the document may have read the record
    record = context.loader.get(resource.name, write.record_id)
    return Answer(success=True, message=done, writes=[write], record=record)


def _unsettled(write: Write, problem: RequestProblem, message: str) -> Answer:
    return Answer(success=False, message=message, errors=[Problem(None, message, problem.value)], writes=[write])
