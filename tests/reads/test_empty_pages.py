"""A page of no items, as Relay's specification has it: the totals, and whether there are more on either side."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from databases import Database
from declared import RESOURCES
from graphql import GraphQLObjectType, get_named_type, graphql_sync

from afterwrite.service.context import Context
from afterwrite.service.service import Service
from app import application

SCHEMA = application.schema
COUNTED = {"products", "tasks", "entries"}
TITLES = ("one", "two", "three")


def connections() -> dict[str, GraphQLObjectType]:
    """The type of each field of the query root that is a connection."""
    roots = SCHEMA.query_type
    assert roots is not None
    types = {name: get_named_type(field.type) for name, field in roots.fields.items()}
    found = {name: kind for name, kind in types.items() if str(kind).endswith("Connection")}
    return {name: kind for name, kind in found.items() if isinstance(kind, GraphQLObjectType)}


@pytest.fixture(scope="module")
def service(module_database: Database) -> Iterator[Service]:
    """A service with three products, three tasks that are entries, and three actions."""
    made = Service(module_database.settings(), RESOURCES)
    made.start()
    for change in ("pause", "resume", "pause"):
        ask(made, f'mutation {{ {change}TaskType(type: "entry") {{ type }} }}')
    for title in TITLES:
        ask(made, f'mutation {{ createProductSync(title: "{title}", price: 1) {{ success }} }}')
        ask(made, f'mutation {{ createEntry(title: "{title}") {{ id }} }}')
    yield made
    made.stop()


def ask(service: Service, document: str) -> Any:
    """The data of an answer without errors."""
    limit = time.monotonic() + 30
    context = Context(service.records, service.queue, service.tasks, limit, lambda: "http://shop.test")
    answer = graphql_sync(SCHEMA, document, context_value=context)
    assert answer.errors is None, answer.errors
    return answer.data


def page(service: Service, field: str, arguments: str) -> Any:
    """A page of a connection with all that it tells."""
    total = "totalCount" if field in COUNTED else ""
    sides = "hasNextPage hasPreviousPage startCursor endCursor"
    document = f"{field}({arguments}) {{ {total} edges {{ cursor }} nodes {{ id }} pageInfo {{ {sides} }} }}"
    return ask(service, f"{{ {document} }}")[field]


def test_the_connections_of_the_schema_are_those_that_are_looked_at() -> None:
    assert set(connections()) == {"products", "writes", "tasks", "entries", "taskActions"}
    assert {name for name, kind in connections().items() if "totalCount" in kind.fields} == COUNTED


@pytest.mark.parametrize("field", connections())
def test_the_first_none_of_a_connection_are_an_empty_page_that_tells_of_more(service: Service, field: str) -> None:
    whole = page(service, field, "first: 50")
    assert len(whole["edges"]) == 3
    empty = page(service, field, "first: 0")
    assert (empty["edges"], empty["nodes"]) == ([], [])
    assert empty["pageInfo"] == {"hasNextPage": True, "hasPreviousPage": False, "startCursor": None, "endCursor": None}
    expected = 3 if field in COUNTED else None
    assert (empty.get("totalCount"), whole.get("totalCount")) == (expected, expected)
    end = page(service, field, f'first: 0, after: "{whole["pageInfo"]["endCursor"]}"')
    assert end["edges"] == []
    assert (end["pageInfo"]["hasNextPage"], end["pageInfo"]["hasPreviousPage"]) == (False, True)


def test_the_last_none_of_the_products_are_an_empty_page_too(service: Service) -> None:
    whole = page(service, "products", "last: 50")
    empty = page(service, "products", "last: 0")
    assert (empty["edges"], empty["nodes"], empty["totalCount"]) == ([], [], 3)
    assert (empty["pageInfo"]["hasNextPage"], empty["pageInfo"]["hasPreviousPage"]) == (False, True)
    start = page(service, "products", f'last: 0, before: "{whole["pageInfo"]["startCursor"]}"')
    assert (start["pageInfo"]["hasNextPage"], start["pageInfo"]["hasPreviousPage"]) == (True, False)


@pytest.mark.parametrize("arguments", ["first: 0", 'first: 0, search: "one"', "first: 0, skip: 1"])
def test_the_first_none_of_all_products_are_none(service: Service, arguments: str) -> None:
    assert ask(service, f"{{ allProducts({arguments}) {{ id }} }}")["allProducts"] == []
