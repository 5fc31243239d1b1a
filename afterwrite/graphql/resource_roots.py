"""The GraphQL root fields of the resources: queries and mutations of each, and ``node``."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import graphene
from graphene.types.resolver import dict_or_attr_resolver

from afterwrite.base.counts import counted
from afterwrite.base.refusals import Problem
from afterwrite.base.text import camel_case
from afterwrite.graphql.fields import field, resolver_of
from afterwrite.graphql.receipts import Key, Receipts
from afterwrite.graphql.resource_types import Node, ResourceTypes, node_place
from afterwrite.reads import pages
from afterwrite.reads.connections import PAGE_DEFAULT, PAGE_MAX, Page, parse_id
from afterwrite.reads.filters import Filter, filters_of, order_of, record_filter
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.operations import CompiledOperation
from afterwrite.resources.registry import facet_name, facet_type, pascal_case
from afterwrite.resources.write import Write, WriteStatus
from afterwrite.service.context import Context
from afterwrite.writes import requests
from afterwrite.writes.requests import Answer, RequestProblem, answer_of, await_write

_IF_VERSION = "Apply it only to this version of the record: another one ends it FAILED with VERSION_CONFLICT"
_AFTER_WRITE = "Wait until this write is settled"


def roots_of(resources: Mapping[str, CompiledResource]) -> tuple[type, type, type]:
    """The classes with the queries, mutations and subscriptions of the resources and of their writes."""
    if not resources:
        return object, object, object
    types = {name: ResourceTypes(resource) for name, resource in resources.items()}
    receipts = Receipts({name: one.object for name, one in types.items()}, resources)
    queries, mutations = receipts.queries(), receipts.mutations()
    for one in types.values():
        queries |= _queries_of(one)
        mutations |= _mutations_of(one, receipts)
    node_id = graphene.ID(required=True)
    queries["node"] = field(Node, _node, "The record with this node id", id=node_id, after_write=graphene.ID())
    return (
        type("ResourceQuery", (graphene.ObjectType,), queries),
        type("ResourceMutation", (graphene.ObjectType,), mutations),
        type("ResourceSubscription", (graphene.ObjectType,), receipts.subscriptions()),
    )


# -- queries --------------------------------------------------------------------------------------------------------


def _queries_of(types: ResourceTypes) -> dict[str, Any]:
    resource = types.resource
    noun, plural = resource.noun, resource.plural.replace("_", " ")
    searching: dict[str, Any] = {}
    if resource.searched:
        found = " or ".join(camel_case(resource.of_column[column].name) for column in resource.searched)
        searching["search"] = graphene.String(description=f"Substring of {found}, in any case")
    filters = filters_of(resource)
    made: dict[str, Any] = {
        f"all_{resource.plural}": field(
            graphene.List(graphene.NonNull(types.object)),
            partial(_all_records, resource.name),
            f"{plural.capitalize()} by id",
            required=True,
            **searching,
            first=graphene.Int(default_value=PAGE_DEFAULT, description=f"At most {PAGE_MAX}"),
            skip=graphene.Int(default_value=0),
            after_write=graphene.ID(description=_AFTER_WRITE),
        ),
        resource.snake: field(
            types.object,
            partial(_record, resource),
            f"One {noun}, null if it does not exist",
            **{resource.id_name: graphene.ID(required=True)},
            after_write=graphene.ID(),
        ),
        resource.plural: field(
            types.connection,
            partial(_page, types, filters),
            f"A page of {plural}",
            required=True,
            **searching,
            **types.filter_arguments(filters),
            order_by=graphene.Argument(types.order, default_value=types.first_order),
            first=graphene.Int(description=f"{plural.capitalize()} after a cursor: 0 to {PAGE_MAX}"),
            after=graphene.String(),
            last=graphene.Int(description=f"{plural.capitalize()} before a cursor: 0 to {PAGE_MAX}"),
            before=graphene.String(),
            after_write=graphene.ID(),
        ),
    }
    for one in resource.fields.values():
        if one.facet:
            described = f"A value of {camel_case(one.name)} and how many {plural} have it."
            count = _count_type(facet_type(resource, one), described)
            made[facet_name(one)] = field(
                graphene.List(graphene.NonNull(count)), partial(_facet, resource.name, one.column), required=True
            )
    return made


def _count_type(name: str, description: str) -> Any:
    fields = {"__doc__": description, "name": graphene.String(required=True), "count": graphene.Int(required=True)}
    return type(name, (graphene.ObjectType,), fields)


def _all_records(
    name: str,
    context: Context,
    /,
    first: int | None,
    skip: int | None,
    search: str | None = None,
    after_write: str | None = None,
) -> list[Record]:
    await_write(context.queue, after_write, context.wait_seconds)
    return pages.all_records(context.records[name], search, PAGE_DEFAULT if first is None else first, skip or 0)


def _record(
    resource: CompiledResource, context: Context, /, after_write: str | None = None, **given: str
) -> Record | None:
    await_write(context.queue, after_write, context.wait_seconds)
    return context.records[resource.name].get(parse_id(camel_case(resource.id_name), given[resource.id_name]))


def _page(
    types: ResourceTypes,
    filters: Mapping[str, Filter],
    context: Context,
    /,
    order_by: Any = None,
    search: str | None = None,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    after_write: str | None = None,
    **given: Any,
) -> Page:
    await_write(context.queue, after_write, context.wait_seconds)
    wanted = record_filter(filters, search, given)
    order = order_of(types.resource, str(types.first_order if order_by is None else order_by))
    return pages.records_page(context.records[types.resource.name], wanted, order, first, after, last, before)


def _facet(name: str, column: str, context: Context, /) -> list[dict[str, Any]]:
    return [{"name": value, "count": count} for value, count in context.records[name].facet(column)]


def _node(context: Context, /, id: str, after_write: str | None = None) -> Record | None:  # noqa: A002
    await_write(context.queue, after_write, context.wait_seconds)
    place = node_place(id)
    return None if place is None else context.loader.get(*place)


# -- mutations ------------------------------------------------------------------------------------------------------


def _mutations_of(types: ResourceTypes, receipts: Receipts) -> dict[str, Any]:
    resource = types.resource
    noun, article = resource.noun, resource.article
    record = {camel_case(resource.snake): _made_record(types.object)}
    plural = resource.plural.replace("_", " ")
    of_one = {resource.id_name: graphene.ID(required=True)}
    versioned = {"if_version": graphene.Int(description=_IF_VERSION)}
    several = {resource.plural: graphene.List(graphene.NonNull(types.input), required=True)}
    answer = partial(_mutation, receipts)
    made = {
        f"create_{resource.snake}": answer(
            pascal_case(f"create_{resource.snake}"),
            f"Queue the creation of {article} {noun}.",
            partial(_create, resource),
            types.new_arguments(),
        ),
        f"create_{resource.snake}_sync": answer(
            pascal_case(f"create_{resource.snake}_sync"),
            f"Create {article} {noun}, and answer when it is applied.",
            partial(_create_sync, resource),
            types.new_arguments(),
            record,
        ),
        f"create_{resource.plural}": answer(
            pascal_case(f"create_{resource.plural}"),
            f"Queue the creation of up to 1,000 {plural}: all in one commit, or none.",
            partial(_create_many, resource),
            several,
            receipts.many,
        ),
        f"update_{resource.snake}": answer(
            pascal_case(f"update_{resource.snake}"),
            "Queue an update of the fields that are given; null empties an optional one.",
            partial(_update, resource),
            types.change_arguments() | of_one | versioned,
        ),
        f"delete_{resource.snake}": answer(
            pascal_case(f"delete_{resource.snake}"),
            f"Queue the deletion of {article} {noun}.",
            partial(_delete, resource),
            of_one | versioned,
        ),
    }
    for operation in resource.operations.values():
        given = {
            name: types.argument(argument.field, required=argument.is_needed, owner=operation.name)
            for name, argument in operation.arguments.items()
        }
        title = pascal_case(f"{operation.name}_{resource.snake}")
        made[f"{operation.name}_{resource.snake}"] = answer(
            title, operation.description, partial(_operate, resource, operation), given | of_one | versioned
        )
        made[f"{operation.name}_{resource.snake}_sync"] = answer(
            f"{title}Sync",
            f"{operation.description} It answers when that is applied.",
            partial(_operate_sync, resource, operation),
            given | of_one | versioned,
            record,
        )
    return made


def _mutation(
    receipts: Receipts,
    name: str,
    description: str,
    mutate: Any,
    arguments: Mapping[str, Any],
    fields: Mapping[str, Any] | None = None,
) -> Any:
    """The root field of a mutation, whose payload has the receipt and more ``fields``."""
    members = {
        "__doc__": description,
        "Arguments": type("Arguments", (Key,), dict(arguments)),
        "mutate": resolver_of(mutate),
        **receipts.answered,
        **(receipts.one if fields is not receipts.many else {}),
        **(fields or {}),
    }
    made: Any = type(name, (graphene.Mutation,), members)
    return made.Field(required=True)


def _made_record(object_type: Any) -> Any:
    return graphene.Field(object_type, resolver=partial(dict_or_attr_resolver, "record", None))


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
    resource: CompiledResource, context: Context, /, idempotency_key: str | None = None, **given: Any
) -> Answer:
    records = given[resource.plural]
    return answer_of(
        lambda: requests.create_many(context.queue, resource, records, idempotency_key, context.by),
        f"{counted(len(records), resource.noun, resource.plural.replace('_', ' '))} queued for creation",
    )


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
