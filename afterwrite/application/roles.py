"""The roles that the root fields, REST routes and pages of resources require, by resource and act."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from afterwrite.access.roles import GIVEN_ROLES, Role
from afterwrite.base.text import camel_case
from afterwrite.console import page_roles
from afterwrite.resources.api_names import facet_name
from afterwrite.resources.compiled import CompiledResource
from afterwrite.rest import routes_of

READ = "read"
# What shows records or writes of every resource requires the highest role of them.
_SHOWS_ALL = (
    "Query.node",
    "Query.write",
    "Query.writes",
    "Subscription.writeSettled",
    "GET /api/writes/<write_id>",
    "GET /writes",
    "GET /writes/<int:write_id>",
)
_WRITES_ALL = ("Mutation.retryWrite", "POST /writes/<int:write_id>/retry")
_PAGES = frozenset(name for name in (*_SHOWS_ALL, *_WRITES_ALL) if " /writes" in name)


class GivenRoles(NamedTuple):
    """Roles by name: of what comes from resources, and what the application gave for the rest."""

    of_resources: list[tuple[str, Role]]
    others: dict[str, str]


def split_roles(resources: Mapping[str, CompiledResource], given: Mapping[str, str | Mapping[str, str]]) -> GivenRoles:
    """Sort out what the application's roles say of resources. Raises ValueError for a wrong resource, act or role."""
    others: dict[str, str] = {}
    by_act: dict[tuple[str, str], Role] = {}
    for name, value in given.items():
        if name in resources:
            by_act |= _roles_by_act(resources[name], value)
        elif isinstance(value, str):
            others[name] = value
        else:
            known = ", ".join(resources) or "none"
            raise ValueError(f"roles names the resource {name!r}: the application has {known}")
    found: dict[str, Role] = {}
    shows = writes = Role.READ
    for resource in resources.values():
        reads = by_act.get((resource.name, READ), Role.READ)
        for name, act in names_of(resource):
            # A receipt shows the record, so no act needs less than reading.
            role = max(reads, by_act.get((resource.name, act), reads if act == READ else Role.WRITE))
            found[name] = max(role, found.get(name, role))
            if act == READ:
                shows = max(shows, role)
            else:
                writes = max(writes, role)
    is_there = bool(resources)
    found |= {name: shows for name in _SHOWS_ALL if is_there or name in _PAGES}
    found |= {name: max(shows, writes, Role.WRITE) for name in _WRITES_ALL if is_there or name in _PAGES}
    if is_there:
        found["Query.queue"] = Role.ADMIN
    return GivenRoles(list(found.items()), others)


def names_of(resource: CompiledResource) -> Iterator[tuple[str, str]]:
    """The root fields, REST routes and pages of a resource, each with its act: ``read``, ``create``, ``reserve``."""
    snake = resource.snake
    facets = [facet_name(field) for field in resource.fields.values() if field.facet]
    for root in (f"all_{resource.plural}", resource.snake, resource.plural, *facets):
        yield f"Query.{camel_case(root)}", READ
    yield f"Mutation.{camel_case(f'create_{snake}_sync')}", "create"
    for act in ("create", "update", "delete"):
        yield from ((f"Mutation.{camel_case(f'{act}_{one}')}", act) for one in (snake, resource.plural))
    if resource.upsert_key is not None:  # which needs both roles
        yield from ((f"Mutation.{camel_case(f'upsert_{snake}')}", act) for act in ("create", "update"))
    for operation in resource.operations.values():
        root = camel_case(f"{operation.name}_{resource.snake}")
        yield from ((f"Mutation.{one}", operation.name) for one in (root, f"{root}Sync"))
    yield from ((route.rule, str(route.role)) for route in routes_of(resource))
    yield from page_roles(resource)


def _roles_by_act(resource: CompiledResource, given: str | Mapping[str, str]) -> dict[tuple[str, str], Role]:
    acts = list(dict.fromkeys(act for _, act in names_of(resource)))
    words = dict.fromkeys(acts, given) if isinstance(given, str) else given
    for act, word in words.items():
        if act not in acts:
            raise ValueError(f"roles names {act!r} of {resource.name}: give any of {', '.join(acts)}")
        if word not in GIVEN_ROLES:
            raise ValueError(
                f"roles gives {act!r} of {resource.name} the role {word!r}: give one of {', '.join(GIVEN_ROLES)}"
            )
    return {(resource.name, act): GIVEN_ROLES[word] for act, word in words.items()}
