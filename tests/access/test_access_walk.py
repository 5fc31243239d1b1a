"""Every route and every root field, as nobody and with each role: allowed exactly where the table says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from access_site import Site, code_of, site_over
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLList, GraphQLNonNull, get_named_type
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from afterwrite.access.roles import Role
from afterwrite.access.table import NEEDED, Table
from afterwrite.application.roles import split_roles
from afterwrite.rest import ROLES
from app import application

SCHEMA = application.schema
ROOTS = {"query": SCHEMA.query_type, "mutation": SCHEMA.mutation_type, "subscription": SCHEMA.subscription_type}
SAID: dict[str, Role] = {
    **dict(ROLES),
    **{name: role for role, names in NEEDED.items() for name in names},
    **dict(split_roles(application.resources, {}).of_resources),
}
FIELDS = [(kind, name) for kind, root in ROOTS.items() for name in (root.fields if root else ())]
REFUSED = {401, 403}

# The rules, written by hand once more: what the table says must be this.
EXPECTED = {
    "GET /ready": Role.NOBODY,
    "GET /health": Role.NOBODY,
    "POST /webhook": Role.NOBODY,
    "GET /sign-in": Role.NOBODY,
    "POST /sign-in": Role.NOBODY,
    "GET /": Role.READ,
    "GET /products": Role.READ,
    "GET /products/export.<kind>": Role.READ,
    "* /graphql": Role.READ,
    "GET /openapi.json": Role.READ,
    "GET /webhook": Role.READ,
    "GET /api/entries": Role.READ,
    "GET /api/products": Role.READ,
    "GET /api/writes/<write_id>": Role.READ,
    "Query.allProducts": Role.READ,
    "Query.task": Role.READ,
    "Subscription.taskUpdated": Role.READ,
    "POST /api/entries": Role.WRITE,
    "POST /api/products": Role.WRITE,
    "PATCH /api/products/<product_id>": Role.WRITE,
    "DELETE /api/products/<product_id>": Role.WRITE,
    "POST /api/process": Role.WRITE,
    "POST /products": Role.WRITE,
    "POST /products/upload": Role.WRITE,
    "POST /writes/<int:write_id>/retry": Role.WRITE,
    "Mutation.createProduct": Role.WRITE,
    "Mutation.deleteProduct": Role.WRITE,
    "Mutation.createStripePaymentTask": Role.WRITE,
    "Mutation.retryTask": Role.WRITE,
    "GET /metrics": Role.ADMIN,
    "PATCH /api/entries/<entry_id>": Role.ADMIN,
    "POST /task-types/<task_type>/pause": Role.ADMIN,
    "Query.queue": Role.ADMIN,
    "Mutation.pauseTaskType": Role.ADMIN,
    "Mutation.resumeTaskType": Role.ADMIN,
    "Mutation.pruneTasks": Role.ADMIN,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_over(tmp_path_factory.mktemp("walk") / "data") as made:
        yield made


def test_the_table_says_what_the_rules_say() -> None:
    assert {name: SAID.get(name) for name in EXPECTED} == EXPECTED
    for name, role in SAID.items():
        if name.startswith(("Mutation.", "POST /api", "PATCH ", "DELETE ")):
            assert role >= Role.WRITE, name
        if name.startswith(("Query.", "Subscription.", "GET /api")):
            assert role >= Role.READ, name


def test_every_route_and_method_is_answered_to_those_who_may_and_to_no_others(site: Site) -> None:
    seen = 0
    for rule in site.app.url_map.iter_rules():
        for method in sorted(rule.methods or ()):
            for role in Role:
                answer = site.send(method, path_of(rule), role, **body_for(method))
                allowed = role >= needed_by(rule, method)
                assert (_is_refusal(answer, role)) is not allowed, f"{method} {rule.rule} as {role.word}"
                seen += 1
                answer.close()
    assert seen > 4 * 60


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=[f"{kind}.{name}" for kind, name in FIELDS])
def test_every_root_field_is_answered_to_those_who_may_and_to_no_others(site: Site, kind: str, name: str) -> None:
    needed_role = SAID[f"{kind.capitalize()}.{name}"]
    for role in Role:
        accept = "text/event-stream" if kind == "subscription" else "application/json"
        answer = site.graphql(document_for(kind, name), role, headers={"Accept": accept})
        assert _is_refusal(answer, role) is (role < needed_role), role.word
        answer.close()


@pytest.mark.parametrize(
    "document",
    [
        'mutation { x: createProduct(title: "x", price: 1) { success } }',
        'mutation { ...F } fragment F on Mutation { createProduct(title: "x", price: 1) { success } }',
        'mutation { ... { ...F } } fragment F on Mutation { createProduct(title: "x", price: 1) { success } }',
        'mutation { __typename createProduct(title: "x", price: 1) @include(if: true) { success } }',
        'mutation { createProduct(title: "x", price: 1) @skip(if: true) { success } }',
        'query A { __typename } mutation B { createProduct(title: "x", price: 1) { success } }',
    ],
)
def test_no_form_of_a_document_hides_a_field(site: Site, document: str) -> None:
    options = {"json": {"query": document, "operationName": "B" if "query A" in document else None}}
    answer = site.send("POST", "/graphql", Role.READ, **options)
    assert (answer.status_code, code_of(answer)) == (403, "FORBIDDEN")
    allowed = site.send("POST", "/graphql", Role.WRITE, **options)
    assert "errors" not in allowed.get_json()


def test_the_operation_that_is_run_counts_and_not_its_neighbours(site: Site) -> None:
    document = 'query A { __typename } mutation B { createProduct(title: "x", price: 1) { success } }'
    answer = site.send("POST", "/graphql", Role.READ, json={"query": document, "operationName": "A"})
    assert answer.get_json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("document", ["{ __typename }", "{ __schema { queryType { name } } }"])
def test_the_schema_may_be_read_by_who_may_read(site: Site, document: str) -> None:
    assert site.graphql(document).status_code == 401
    assert "errors" not in site.graphql(document, Role.READ).get_json()


def test_refused_mutations_and_posts_change_nothing(tmp_path: Path) -> None:
    with site_over(tmp_path / "data") as site:
        _refuse_everything(site)


def _refuse_everything(site: Site) -> None:
    counts = "{ products { totalCount } tasks { totalCount } taskTypes { type paused } }"
    before = site.graphql(counts, Role.READ).get_json()
    for role in (Role.NOBODY, Role.READ):
        for kind, name in FIELDS:
            if kind == "mutation":
                assert site.graphql(document_for(kind, name), role).status_code in REFUSED
        for rule in site.app.url_map.iter_rules():
            for method in {"POST", "PATCH", "DELETE"} & (rule.methods or set()):
                if needed_by(rule, method) > role:
                    site.send(method, path_of(rule), role, **body_for(method)).close()
    assert site.graphql(counts, Role.READ).get_json() == before


def test_an_application_that_the_table_does_not_fit_is_not_made() -> None:
    from flask import Flask

    app = Flask("other")
    app.add_url_rule("/known", endpoint="known", view_func=lambda: "")
    app.add_url_rule("/unknown", endpoint="unknown", view_func=lambda: "", methods=["POST"])
    static = "GET /static/<path:filename>"
    with pytest.raises(RuntimeError, match="POST /unknown"):
        Table({Role.READ: [static, "GET /known"]}).check(app.url_map, [])
    fitting = Table({Role.READ: [static, "GET /known", "POST /unknown"]})
    fitting.check(app.url_map, [])
    with pytest.raises(RuntimeError, match=r"Query\.new"):
        fitting.check(app.url_map, ["Query.new"])
    with pytest.raises(RuntimeError, match=r"Query\.gone"):
        Table({Role.READ: [static, "GET /known", "POST /unknown", "Query.gone"]}).check(app.url_map, [])
    with pytest.raises(ValueError, match="twice"):
        Table({Role.READ: ["GET /"], Role.ADMIN: ["GET /"]})


# What is sent


def needed_by(rule: Rule, method: str) -> Role:
    """What the table and the REST routes say, looked up there and not by the code under test."""
    every = SAID.get(f"* {rule.rule}")
    if every is not None:
        return every
    if method == "OPTIONS":
        return min(role for name, role in SAID.items() if name.partition(" ")[2] == rule.rule)
    return SAID[f"{'GET' if method == 'HEAD' else method} {rule.rule}"]


def path_of(rule: Rule) -> str:
    """A path that the rule fits, of nothing that is there."""
    if rule.endpoint == "static":
        return "/static/graphiql/graphiql.svg"
    path = re.sub(r"<int:\w+>", "999999999", rule.rule)
    return re.sub(r"<(?:path:)?\w+>", "none", path)


def body_for(method: str) -> dict[str, Any]:
    """No form, so that nothing is changed where the role would do; the token is another test's matter."""
    return {"json": {}} if method in ("POST", "PATCH") else {}


def document_for(kind: str, name: str) -> str:
    """A valid document with this root field and its required arguments."""
    root = ROOTS[kind]
    assert root is not None
    field = root.fields[name]
    given = [f"{key}: {_value(arg.type)}" for key, arg in field.args.items() if isinstance(arg.type, GraphQLNonNull)]
    arguments = f"({', '.join(given)})" if given else ""
    selection = "{ __typename }" if hasattr(get_named_type(field.type), "fields") else ""
    return f"{kind} {{ {name}{arguments} {selection} }}"


def _value(kind: Any) -> str:
    if isinstance(kind, GraphQLNonNull):
        return _value(kind.of_type)
    if isinstance(kind, GraphQLList):
        return "[]"
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    if isinstance(kind, GraphQLInputObjectType):
        required = {key: part.type for key, part in kind.fields.items() if isinstance(part.type, GraphQLNonNull)}
        return "{" + ", ".join(f"{key}: {_value(part)}" for key, part in required.items()) + "}"
    return {
        "Int": "1",
        "BigInt": "1",
        "Float": "-1",
        "Boolean": "true",
        "ID": '"999999999"',
        "DateTime": '"2020-01-01T00:00:00Z"',
    }.get(kind.name, '""')


def _is_refusal(answer: TestResponse, role: Role) -> bool:
    """Whether the role was too small; a bad signature is a 401 too, a form without its token a 403."""
    if answer.status_code == 401 and answer.headers.get("WWW-Authenticate") == "Bearer":
        assert role is Role.NOBODY
        return True
    if answer.status_code == 403 and "no token of this session" not in answer.get_data(as_text=True):
        assert role is not Role.NOBODY
        return True
    return False
