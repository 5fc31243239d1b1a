"""Tests that waiting writes and used keys outlive the version that stored them: products get one more field."""

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from databases import Database, EmbeddedDatabase
from next_version import NEW_FIELD, make_next_version, next_server
from older_folder import make_older
from server_process import ServerProcess, wait_until

from afterwrite.base.settings import Settings

if TYPE_CHECKING:
    from many_processes import Fleet

_OLDER = Path(__file__).parent / "older_journals"
_SCHEMA_VERSIONS = {"journal": 2, "products": 2, "tasks": 3, "postgresql": 3}
_WRITE = "success write { id productId status error { code } } errors { code message }"
# What clients sent, by their idempotency keys; {failed} is the id of a write that had failed before.
_SETTLED = {
    "settled-create": f'createProduct(title: "Settled lamp", price: 12.5, %s) {{ {_WRITE} }}',
    "settled-update": f"updateProduct(productId: 2, price: 4, description: null, %s) {{ {_WRITE} }}",
}
_WAITING = {
    "waiting-full": (
        'createProduct(title: "All fields", price: 10.1, description: "Böck 木", category: "Home", '
        f'image: "https://a.example/l.png", ratingRate: 5, ratingCount: 7, %s) {{ {_WRITE} }}'
    ),
    "waiting-small": f'createProduct(title: "Two fields", price: 10, %s) {{ {_WRITE} }}',
    "waiting-nulls": (
        f'createProduct(title: "With nulls", price: 0.99, description: null, ratingRate: null, %s) {{ {_WRITE} }}'
    ),
    "waiting-two": (
        'createProducts(products: [{title: "One of two", price: 1}, {title: "Two of two", price: 2, '
        'category: "Home"}], %s) { success writes { id productId status error { code } } errors { code message } }'
    ),
    "waiting-update": f'updateProduct(productId: 2, title: "Armchair", category: null, %s) {{ {_WRITE} }}',
    "waiting-retry": f"retryWrite(id: {{failed}}, %s) {{ {_WRITE} }}",
    "waiting-delete": f"deleteProduct(productId: 1, %s) {{ {_WRITE} }}",
}
_ENTRY = 'createEntry(title: "Waiting entry", idempotencyKey: "waiting-entry") { id status }'
_PRODUCTS = """{ products(first: 20) { edges { node { id title price description category image rating } } } }"""
_EXPECTED = [
    ("2", "Armchair", 4.0, None, None, None, {"rate": 4.0, "count": 2}),
    ("3", "All fields", 10.1, "Böck 木", "Home", "https://a.example/l.png", {"rate": 5.0, "count": 7}),
    ("4", "Two fields", 10.0, None, None, None, None),
    ("5", "With nulls", 0.99, None, None, None, None),
    ("6", "One of two", 1.0, None, None, None, None),
    ("7", "Two of two", 2.0, None, "Home", None, None),
]
_LONG = {"IDEMPOTENCY_HOURS": "100000"}  # the older journal is of another year


@dataclass(frozen=True)
class Upgraded:
    """A server of the next version, on what another version had on disk when it was killed."""

    server: ServerProcess
    database: Database
    accepted: dict[str, list[str]]  # the ids that were answered then, by key

    def repeat(self, key: str) -> dict[str, Any]:
        """Send a request again, as it was sent to the version before."""
        return _send(self.server, key, _failed_id(self.server))


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The next version of the program."""
    return make_next_version(tmp_path_factory.mktemp("next") / "program")


@pytest.fixture(scope="module", params=["sqlite-older", "sqlite-this", "postgresql-older", "postgresql-this"])
def upgraded(
    request: pytest.FixtureRequest, next_version: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upgraded]:
    """What 0.1.0 or this version left, and the next version on it."""
    kind, _, writer = request.param.partition("-")
    with _new_database(kind, tmp_path_factory.mktemp(kind) / "data", is_older=writer == "older") as database:
        accepted = _restore_older(database) if writer == "older" else _leave_waiting(database)
        server = next_server(next_version, database, **_LONG).start()
        try:
            wait_until(lambda: server.query("{ queue { depth } }")["queue"]["depth"] == 0)
            yield Upgraded(server, database, accepted)
        finally:
            server.kill()


def test_every_write_that_waited_is_applied_by_a_version_with_one_more_field(upgraded: Upgraded) -> None:
    found = [edge["node"] for edge in upgraded.server.query(_PRODUCTS)["products"]["edges"]]
    assert [tuple(product.values()) for product in found] == _EXPECTED
    assert upgraded.database.rows(f"SELECT count(*) FROM products WHERE {NEW_FIELD} IS NULL") == [(6,)]


def test_the_new_field_is_one_line_and_is_there_in_the_api_and_in_the_search(upgraded: Upgraded) -> None:
    create = (
        f'createProductSync(title: "Bulb", price: 2, {NEW_FIELD}: "Böck & Söhne") {{ product {{ id {NEW_FIELD} }} }}'
    )
    made = upgraded.server.query(f"mutation {{ {create} }}")["createProductSync"]["product"]
    try:
        assert made[NEW_FIELD] == "Böck & Söhne"
        found = upgraded.server.query(f'{{ allProducts(search: "BÖCK &") {{ id {NEW_FIELD} }} }}')
        assert found == {"allProducts": [made]}
        assert upgraded.server.query("{ writes(status: FAILED) { nodes { error { code } } } }") == {
            "writes": {"nodes": [{"error": {"code": "PRODUCT_NOT_FOUND"}}] * 2}  # of before, and its retry
        }
    finally:
        upgraded.server.query(f"mutation {{ deleteProduct(productId: {made['id']}) {{ success }} }}")
        gone = f"{{ product(productId: {made['id']}) {{ id }} }}"
        wait_until(lambda: upgraded.server.query(gone) == {"product": None})


@pytest.mark.parametrize("key", [*_SETTLED, *_WAITING])
def test_a_request_that_is_repeated_after_the_upgrade_gets_its_receipt(upgraded: Upgraded, key: str) -> None:
    answer = upgraded.repeat(key)
    assert answer["success"], answer
    receipts = answer["writes"] if "writes" in answer else [answer["write"]]
    assert [receipt["id"] for receipt in receipts] == upgraded.accepted[key]
    expected = "FAILED" if key == "waiting-retry" else "APPLIED"
    assert {receipt["status"] for receipt in receipts} == {expected}


def test_another_request_with_a_key_of_the_version_before_is_refused(upgraded: Upgraded) -> None:
    other = 'createProduct(title: "Two fields", price: 11, idempotencyKey: "waiting-small") { errors { code } }'
    [error] = upgraded.server.query(f"mutation {{ {other} }}")["createProduct"]["errors"]
    assert error["code"] == "IDEMPOTENCY_KEY_REUSED"


def test_a_task_that_is_repeated_after_the_upgrade_is_the_same_task(upgraded: Upgraded) -> None:
    entry = upgraded.server.query(f"mutation {{ {_ENTRY} }}")["createEntry"]
    assert [entry["id"]] == upgraded.accepted["waiting-entry"]


@pytest.mark.one_database("of PostgreSQL only")
def test_a_server_of_the_version_before_does_not_apply_what_it_does_not_know(
    fleet: "Fleet", next_version: Path
) -> None:
    before, after = fleet.server(), fleet.server()
    after.program = (str(next_version / "app.py"),)
    before.start()
    before.query('mutation { createProductSync(title: "Lamp", price: 1) { success } }')
    assert fleet.drainer() is before
    after.start()
    for number in range(20):
        create = f'createProductSync(title: "Bulb {number}", price: 1, {NEW_FIELD}: "Böck") {{ write {{ status }} }}'
        made = after.query(f"mutation {{ {create} }}")["createProductSync"]
        assert made["write"]["status"] != "FAILED"
        before.query(f'mutation {{ createProduct(title: "Lamp {number}", price: 1) {{ success }} }}')
    wait_until(lambda: after.query("{ queue { depth } }")["queue"]["depth"] == 0)
    assert fleet.rows("SELECT status, count(*) FROM afterwrite.ledger GROUP BY status") == [("APPLIED", 41)]
    assert fleet.drainer() is after


def _leave_waiting(database: Database) -> dict[str, list[str]]:
    """Let a server of this version accept everything, and kill it before it applies what is to wait."""
    server = ServerProcess.on(database).start()
    try:
        accepted = {"settled-create": _ids(_send(server, "settled-create", ""))}
        chair = 'title: "Chair", price: 3, category: "Home", ratingRate: 4, ratingCount: 2'
        made = server.query(f"mutation {{ createProductSync({chair}) {{ product {{ id }} }} }}")
        assert made["createProductSync"]["product"]["id"] == "2"
        accepted["settled-update"] = _ids(_send(server, "settled-update", ""))
        server.query('mutation { updateProduct(productId: 99, title: "Nobody") { success } }')
        failed = wait_until(lambda: _failed_id(server))
        server.query('mutation { pauseTaskType(type: "entry") { type } }')
        accepted["waiting-entry"] = [server.query(f"mutation {{ {_ENTRY} }}")["createEntry"]["id"]]
        with database.no_drain():
            accepted |= {key: _ids(_send(server, key, failed)) for key in _WAITING}
            server.kill()
        return accepted
    finally:
        server.kill()


def _restore_older(database: Database) -> dict[str, list[str]]:
    """Put back what a server of 0.1.0 left."""
    if isinstance(database, EmbeddedDatabase):
        _restore_files(database.folder)
        with closing(sqlite3.connect(database.folder / "journal.db")) as journal:
            keys = journal.execute("SELECT key, first_write_id, writes FROM idempotency_keys").fetchall()
    else:
        database.rows((_OLDER / "postgresql.sql").read_text(encoding="utf-8"))
        keys = database.rows("SELECT key, first_write_id, writes FROM idempotency_keys")
    [(entry,)] = database.rows("SELECT id FROM tasks WHERE idempotency_key = 'waiting-entry'")
    ids = {key: [str(number) for number in range(first, first + count)] for key, first, count in keys}
    return ids | {"waiting-entry": [str(entry)]}


def _restore_files(folder: Path) -> None:
    parts = (_OLDER / "sqlite.sql").read_text(encoding="utf-8").split("\n-- ")[-3:]
    for part in parts:
        name, _, script = part.partition("\n")
        make_older(folder / f"{name}.db", name, _SCHEMA_VERSIONS[name])
        with closing(sqlite3.connect(folder / f"{name}.db")) as connection:
            connection.executescript(script)


@contextlib.contextmanager
def _new_database(kind: str, folder: Path, *, is_older: bool) -> Iterator[Database]:
    if kind == "sqlite":
        yield EmbeddedDatabase(folder)
        return
    from many_processes import new_database
    from postgres_database import PostgresDatabase
    from postgres_server import require_postgres

    from afterwrite.storage.postgres import migrations
    from afterwrite.storage.postgres.stores import prepare_postgres

    require_postgres()
    with new_database() as url:
        if is_older:
            steps = migrations._steps()[: _SCHEMA_VERSIONS["postgresql"]]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(migrations, "_steps", lambda: steps)
                prepare_postgres(Settings(database_url=url), None)
        yield PostgresDatabase(folder, url)


def _send(server: ServerProcess, key: str, failed: str) -> dict[str, Any]:
    text = {**_SETTLED, **_WAITING}[key] % f'idempotencyKey: "{key}"'
    [answer] = server.query(f"mutation {{ {text.replace('{failed}', failed)} }}").values()
    return dict(answer)


def _ids(answer: dict[str, Any]) -> list[str]:
    assert answer["success"], answer
    return [write["id"] for write in answer.get("writes") or [answer["write"]]]


def _failed_id(server: ServerProcess) -> str:
    """The id of the write that failed first."""
    found = server.query("{ writes(status: FAILED, first: 10) { edges { node { id } } } }")["writes"]["edges"]
    return str(found[-1]["node"]["id"]) if found else ""
