"""Roles of resources: each act has its own, and nothing that shows or repeats writes of all goes around them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from access_site import KEYS, SECRETS, bearer
from declarations import Locker
from declared import RESOURCES
from flask import Flask
from library_app import application as library

from afterwrite import Application
from afterwrite.access.control import AccessControl
from afterwrite.access.roles import Role
from afterwrite.application.roles import split_roles
from afterwrite.application.routes import create_app
from afterwrite.base.settings import Settings
from afterwrite.service.service import Service
from afterwrite.writes import requests
from product_types import Product

ROLES: dict[str, str | Mapping[str, str]] = {"Locker": {"read": "write", "put": "admin"}}
LIBRARY_ROLES = {"Author": {"read": "write", "update": "admin"}, "Loan": {"read": "admin"}}
LOCKERS = Application(resources=[Locker])


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """An application whose lockers are read by writers, and filled by administrators."""
    settings = Settings(data_dir=tmp_path, api_keys=KEYS)
    service = Service(settings, LOCKERS.resources)
    service.start()
    try:
        yield create_app(service, AccessControl(settings), LOCKERS.schema, roles=ROLES)
    finally:
        service.stop()


@pytest.mark.parametrize(
    ("document", "least"),
    [
        ("{ book(bookId: 1) { title } }", Role.READ),
        ("{ book(bookId: 1) { author { name } } }", Role.WRITE),
        ("{ book(bookId: 1) { loans { totalCount } } }", Role.ADMIN),
        ("{ loan(loanId: 1) { book { title } } }", Role.ADMIN),
        ('mutation { upsertAuthor(name: "x") { success } }', Role.ADMIN),
        ('mutation { createAuthor(name: "y") { success } }', Role.WRITE),
        ("mutation { deleteBooks(bookIds: [9]) { success } }", Role.WRITE),
        ('mutation { updateAuthors(authors: [{authorId: 9, name: "z"}]) { success } }', Role.ADMIN),
    ],
)
def test_what_a_record_refers_to_needs_the_role_of_its_own(tmp_path: Path, document: str, least: Role) -> None:
    settings = Settings(data_dir=tmp_path, api_keys=KEYS)
    service = Service(settings, library.resources)
    service.start()
    context = service.context()
    for name, fields in (("Author", {"name": "A"}), ("Book", {"title": "B", "author_id": 1})):
        made = requests.create(context.queue, service.resources[name], fields, None, None)
        assert requests.settled(context.queue, made, 30) is not None
    try:
        app = create_app(service, AccessControl(settings), library.schema, roles=LIBRARY_ROLES)
        for role in SECRETS:
            answer = app.test_client().post("/graphql", json={"query": document}, headers=bearer(role))
            codes = [one["extensions"]["code"] for one in answer.get_json().get("errors", [])]
            assert ("FORBIDDEN" in codes) is (role < least), (role, answer.get_json())
    finally:
        service.stop()


@pytest.mark.parametrize(
    ("document", "least"),
    [
        ("{ allLockers { id } }", Role.WRITE),
        ("{ locker(lockerId: 1) { id } }", Role.WRITE),
        ("{ lockers { totalCount } }", Role.WRITE),
        ('{ node(id: "TG9ja2VyOjE=") { nodeId } }', Role.WRITE),
        ("{ writes { nodes { record { id } } } }", Role.WRITE),
        ("{ write(id: 1) { id } }", Role.WRITE),
        ("{ queue { depth } }", Role.ADMIN),
        ('mutation { createLocker(code: "a") { success } }', Role.WRITE),
        ("mutation { deleteLocker(lockerId: 1) { success } }", Role.WRITE),
        ("mutation { putLocker(lockerId: 1, amount: 1) { success } }", Role.ADMIN),
        ("mutation { putLockerSync(lockerId: 1, amount: 1) { success } }", Role.ADMIN),
        ("mutation { retryWrite(id: 1) { success } }", Role.ADMIN),
    ],
)
def test_every_act_needs_its_role_and_what_shows_all_the_highest(app: Flask, document: str, least: Role) -> None:
    for role in SECRETS:
        answer = app.test_client().post("/graphql", json={"query": document}, headers=bearer(role))
        refused = answer.get_json().get("errors", [{}])[0].get("extensions", {}).get("code") == "FORBIDDEN"
        assert (answer.status_code == 403 or refused) is (role < least), (role, answer.get_json())


@pytest.mark.parametrize(
    ("method", "path", "body", "least"),
    [
        ("GET", "/api/lockers", None, Role.WRITE),
        ("GET", "/api/lockers/1", None, Role.WRITE),
        ("GET", "/api/writes/1", None, Role.WRITE),
        ("POST", "/api/lockers", {"code": "a"}, Role.WRITE),
        ("PATCH", "/api/lockers/1", {"content": 1}, Role.WRITE),
        ("DELETE", "/api/lockers/1", None, Role.WRITE),
        ("POST", "/api/lockers/1/put", {"amount": 1}, Role.ADMIN),
    ],
)
def test_every_route_of_a_resource_needs_the_role_of_its_act(
    app: Flask, method: str, path: str, body: object, least: Role
) -> None:
    assert app.test_client().open(path, method=method, json=body).status_code == 401
    for role in SECRETS:
        answer = app.test_client().open(path, method=method, json=body, headers=bearer(role))
        assert (answer.status_code == 403) is (role < least), (role, answer.get_json())
        assert answer.status_code in (200, 202, 404) or answer.get_json()["code"] == "FORBIDDEN"


@pytest.mark.parametrize(
    ("path", "least"),
    [
        ("/lockers", Role.WRITE),
        ("/lockers/1", Role.WRITE),
        ("/lockers/export.csv", Role.WRITE),
        ("/lockers/new", Role.WRITE),
        ("/lockers/1/delete", Role.WRITE),
        ("/lockers/1/put", Role.ADMIN),
    ],
)
def test_the_pages_of_an_act_need_its_role_and_lead_only_where_the_caller_may_go(
    app: Flask, path: str, least: Role
) -> None:
    made = {"query": 'mutation { createLockerSync(code: "a") { success } }'}
    app.test_client().post("/graphql", json=made, headers=bearer(Role.WRITE))
    for role in SECRETS:
        page = app.test_client().get(path, headers=bearer(role))
        assert page.status_code == (403 if role < least else 200), role
        if path == "/lockers/1" and role >= least:
            assert ("/lockers/1/put" in page.text) is (role is Role.ADMIN)
    home = app.test_client().get("/", headers=bearer(Role.READ))
    assert (home.status_code, "/lockers" in home.text) == (200, False)


def test_the_pages_of_products_and_writes_need_the_roles_of_products() -> None:
    said = dict(split_roles(RESOURCES, {"Product": "admin"}).of_resources)
    assert said["GET /products"] == said["POST /products"] == said["POST /products/upload"] == Role.ADMIN
    assert said["GET /writes"] == said["POST /writes/<int:write_id>/retry"] == said["Query.node"] == Role.ADMIN
    usual = dict(split_roles(RESOURCES, {}).of_resources)
    assert (usual["GET /writes"], usual["Query.writes"], usual["Mutation.retryWrite"]) == (
        Role.READ,
        Role.READ,
        Role.WRITE,
    )


@pytest.mark.parametrize(
    ("roles", "says"),
    [
        (
            {"Product": {"reserve": "admin"}},
            "roles names 'reserve' of Product: give any of read, create, update, delete",
        ),
        ({"Product": "owner"}, "of Product the role 'owner': give one of read, write, admin"),
        ({"Prodcut": {"read": "read"}}, "roles names the resource 'Prodcut': the application has Product"),
    ],
)
def test_a_wrong_role_says_what_can_be_given(roles: dict[str, str | dict[str, str]], says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("(", "\\(")):
        split_roles(Application(resources=[Product]).resources, roles)
