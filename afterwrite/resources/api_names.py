"""The names that resources have in the API, and those that two things would have."""

from collections.abc import Iterator, Sequence

from afterwrite.base.text import camel_case
from afterwrite.resources import first_version
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.field import Field
from afterwrite.resources.names import plural_of
from afterwrite.resources.text_fields import Choice

# The names of the API that are not made of resources: root fields of the schema, and those of REST.
_TAKEN = {
    "query": "task tasks taskTypes taskActions entry entries process write writes queue node",
    "mutation": "createTask createStripeCustomerTask createStripePaymentTask createStripeRefundTask createEntry "
    "createProcess cancelTask retryTask retryWrite pauseTaskType resumeTaskType pruneTasks",
    "REST operation": "listEntries getEntry createEntry changeEntry startProcess getProcess getWrite receiveWebhook "
    "listWebhooks health ready metrics openapi",
    "OpenAPI schema": "Entry EntryPage NewEntry EntryChange NewProcess ProcessAccepted Process Received ReceivedPage "
    "Problem Health Ready StorableJson Write",
}


def name_clashes(resources: Sequence[CompiledResource]) -> Iterator[str]:
    """Names that two resources, or two parts of one, give to different things."""
    owners = {(kind, name): "the engine" for kind, names in _TAKEN.items() for name in names.split()}
    for resource in resources:
        names = list(_given_names(resource))
        for kind, name in dict.fromkeys(names):
            first = owners.setdefault((kind, name), resource.name)
            if first != resource.name:
                yield f"{resource.name} and {first} both have the {kind} {name}: {_OTHER_NAME}"
            elif names.count((kind, name)) > 1:
                yield f"{resource.name} has the {kind} {name} twice: {_OTHER_NAME}"


_OTHER_NAME = "give plural=..., table=..., facet=..., reverse=... or another name"


def _given_names(resource: CompiledResource) -> Iterator[tuple[str, str]]:
    snake, plural = resource.snake, resource.plural
    yield "table", resource.table
    for root in (snake, plural, f"all_{plural}"):
        yield "query", camel_case(root)
    acts = [f"create_{snake}", f"create_{snake}_sync", f"update_{snake}", f"delete_{snake}"]
    acts += [f"{act}_{plural}" for act in ("create", "update", "delete")]
    acts += [f"upsert_{snake}"] if resource.upsert_key else []
    for operation in resource.operations.values():
        acts += [f"{operation.name}_{snake}", f"{operation.name}_{snake}_sync"]
    for act in acts:
        yield "mutation", camel_case(act)
        yield "type", pascal_case(act)
    for field in resource.fields.values():
        if field.facet:
            yield "query", camel_case(facet_name(field))
            yield "type", facet_type(resource, field)
        if isinstance(field, Choice):
            yield "type", f"{resource.name}{pascal_case(field.name)}"
    for ending in ("", "Input", "Change", "Order", "Connection", "Edge"):
        yield "type", f"{resource.name}{ending}"
    yield from _given_rest_names(resource)
    for name in (*resource.fields, *resource.derived):
        yield f"field of {resource.name}", camel_case(name)
    for one in resource.references:
        yield f"field of {resource.name}", camel_case(one.relation)
        yield f"field of {one.target}", camel_case(one.reverse or plural)
    for name in argument_names(resource):
        yield f"filter of {resource.name}", camel_case(name)


def _given_rest_names(resource: CompiledResource) -> Iterator[tuple[str, str]]:
    snake, acts = resource.snake, [f"{operation.name}_{resource.snake}" for operation in resource.operations.values()]
    for act in (
        f"list_{resource.plural}",
        f"get_{snake}",
        f"create_{snake}",
        f"update_{snake}",
        f"delete_{snake}",
        *acts,
    ):
        yield "REST operation", camel_case(act)
    for name in (resource.name, f"New{resource.name}", f"{resource.name}Change", f"{resource.name}Page"):
        yield "OpenAPI schema", name
    for act in acts:
        yield "OpenAPI schema", pascal_case(act)
    yield f"filter of {resource.name}", "limit"


def argument_names(resource: CompiledResource) -> Iterator[str]:
    """The names of the arguments that filter a resource's pages: ``x`` and ``x_in``, ``min_x`` and ``max_x``."""
    for name, field in resource.fields.items():
        forms = {"equal": (name,), "in": (f"{name}_in",), "range": (f"min_{name}", f"max_{name}")}
        for wanted in field.filters:
            yield from forms.get(wanted, ())


def rest_path(resource: CompiledResource) -> str:
    """The path of its records over REST: ``/api/order-lines``."""
    return f"/api/{resource.plural.replace('_', '-')}"


def facet_type(resource: CompiledResource, field: Field) -> str:
    """The type of a value with its count: ``StockWarehouseCount``; of a product it has always been ``Category``."""
    name = pascal_case(field.name)
    return name if resource.name == first_version.RESOURCE else f"{resource.name}{name}Count"


def facet_name(field: Field) -> str:
    """The name of the query that counts a field's values, in snake case."""
    return field.facet if isinstance(field.facet, str) else plural_of(field.name)


def pascal_case(name: str) -> str:
    """``order_line`` becomes ``OrderLine``."""
    return "".join(part.capitalize() for part in name.split("_"))
