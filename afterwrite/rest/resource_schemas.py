"""JSON Schemas of a declared resource: its records, bodies of requests, and the parameters of its list."""

from collections.abc import Mapping
from typing import Any

from afterwrite.base.text import camel_case
from afterwrite.reads.connections import PAGE_DEFAULT, PAGE_MAX
from afterwrite.reads.filters import Filter, filters_of, order_names
from afterwrite.resources.api_names import pascal_case
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.field import Field
from afterwrite.resources.operations import CompiledOperation
from afterwrite.resources.write import WriteStatus
from afterwrite.rest.schemas import ID, SEARCHED, TEXT, TIME, Schema, or_null, whole
from afterwrite.rest.value_forms import described, filter_schema, given_schema, shown_schema

AFTER_WRITE: Mapping[str, Schema] = {
    "afterWrite": {
        **TEXT,
        "pattern": r"^[1-9][0-9]{0,18}(?![\s\S])",
        "title": "the id of a write",
        "description": "Wait until this write is settled",
    }
}
WRITE: Schema = {
    **whole(
        {
            "id": ID,
            "resource": {**TEXT, "description": "The type of its record"},
            "operation": {**TEXT, "description": "CREATE, UPDATE, DELETE, or an operation of the resource"},
            "status": {"enum": [status.value for status in WriteStatus]},
            "recordId": {**ID, "description": "Known at once, even for a create; that of an upsert once it is applied"},
            "record": {**or_null(TEXT), "description": "The path of the record"},
            "ifVersion": {"type": ["integer", "null"], "description": "The version that the record had to have"},
            "error": or_null(whole({"code": TEXT, "message": TEXT})),
            "acceptedAt": TIME,
            "acceptedBy": {**or_null(TEXT), "description": "The name of the caller's key"},
            "settledAt": or_null(TIME),
            "retryOf": {**or_null(ID), "description": "The FAILED write that this one retries"},
        }
    ),
    "description": "The receipt of an accepted write",
}


def new_name(resource: CompiledResource) -> str:
    """The schema of a new record."""
    return f"New{resource.name}"


def change_name(resource: CompiledResource) -> str:
    """The schema of a change."""
    return f"{resource.name}Change"


def page_name(resource: CompiledResource) -> str:
    """The schema of a page of records."""
    return f"{resource.name}Page"


def arguments_name(resource: CompiledResource, operation: CompiledOperation) -> str:
    """The schema of an operation's arguments."""
    return pascal_case(f"{operation.name}_{resource.snake}")


def schemas_of(resource: CompiledResource) -> Mapping[str, Schema]:
    """Every schema of a resource by its name."""
    fields = resource.fields.values()
    records = {"type": "array", "items": {"$ref": f"#/components/schemas/{resource.name}"}}
    changes = _body({field.name: given_schema(field) for field in fields if not field.immutable}, [])
    made: dict[str, Schema] = {
        resource.name: {**_record(resource), "description": resource.description},
        page_name(resource): whole({camel_case(resource.plural): records}),
        new_name(resource): _body({field.name: given_schema(field) for field in fields}, _needed(resource)),
        change_name(resource): {**changes, "minProperties": 1},
    }
    for operation in resource.operations.values():
        given = operation.arguments.values()
        made[arguments_name(resource, operation)] = _body(
            {one.name: given_schema(one.field) for one in given}, [one.name for one in given if one.is_needed]
        )
    return made


def list_parameters(resource: CompiledResource) -> Mapping[str, Schema]:
    """The query parameters of a resource's list."""
    found: dict[str, Schema] = {}
    if resource.searched:
        fields = " or ".join(camel_case(resource.of_column[column].name) for column in resource.searched)
        found["search"] = {**SEARCHED, "description": f"Substring of {fields}, in any case"}
    found |= {camel_case(name): _filter(one) for name, one in filters_of(resource).items()}
    cursor = "The cursor of a Link; the other parameters stay the same"
    return {
        **found,
        "orderBy": {**TEXT, "enum": list(order_names(resource)), "default": "ID_ASC"},
        "limit": {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT},
        "after": {**TEXT, "description": cursor},
        "before": {**TEXT, "description": cursor},
        **AFTER_WRITE,
    }


def _record(resource: CompiledResource) -> Schema:
    shown = {
        camel_case(name): shown_schema(field, field.description, required=field.required)
        for name, field in resource.fields.items()
    }
    computed = {camel_case(name): _computed(one.kind, one.__doc__) for name, one in resource.derived.items()}
    return whole(
        {
            "id": ID,
            **shown,
            **computed,
            "createdAt": TIME,
            "updatedAt": TIME,
            "version": {"type": "integer", "minimum": 1, "description": "Rises by one with each applied write"},
        }
    )


def _computed(kind: Field, doc: str | None) -> Schema:
    return shown_schema(kind, (doc or "").strip(), required=False)


def _body(properties: Mapping[str, Schema], required: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "object",
        "properties": {camel_case(name): schema for name, schema in properties.items()},
        "additionalProperties": False,
    }
    return {**made, "required": [camel_case(name) for name in required]} if required else made


def _needed(resource: CompiledResource) -> list[str]:
    return [field.name for field in resource.fields.values() if field.required and field.default is None]


def _filter(wanted: Filter) -> Schema:
    schema = filter_schema(wanted.field)
    said = {"minimum": "At least this", "maximum": "At most this", "in": "Any of these; repeat the parameter"}
    if wanted.takes_many:
        schema = {"type": "array", "items": schema}
    return described(schema, said.get(wanted.comparison, ""))
