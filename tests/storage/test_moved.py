"""Uses an installation, kills it with writes and tasks under way, copies it, and goes on with it on PostgreSQL."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from many_processes import Fleet
from moving_house import Move
from product_calls import codes, create, update
from server_process import ServerProcess, wait_until
from task_calls import create as create_task
from task_calls import find, rest, wait_ended

pytestmark = pytest.mark.one_database("it moves from the one database to the other")

MakeServer = Callable[..., ServerProcess]
RECEIPT = '{ write(id: "%s") { status productId error { code } acceptedAt settledAt } }'
CUSTOMER = ("stripe_create_customer", {"email": "ann@example.com", "name": "Ann"})
MUGS = ["Mug", "Cup"]


class Used:
    """What a server was asked before it was killed."""

    def __init__(self, server: ServerProcess) -> None:
        self.lamp = create(server, "Lamp", description="of brass", key="the lamp")["write"]
        self.desk = create(server, "Desk")["write"]
        self.failed = update(server, "999", "Nothing")["write"]
        self.settled = [self.lamp, self.desk, self.failed]
        wait_until(lambda: server.query(RECEIPT % self.failed["id"])["write"]["status"] == "FAILED")
        self.receipts = [server.query(RECEIPT % one["id"]) for one in self.settled]
        self.paid = create_task(server, *CUSTOMER, key="pay")["id"]
        assert wait_ended(server, self.paid) == "COMPLETED"
        self.result = find(server, self.paid, "status result createdAt finishedAt")
        later = {"runAt": "2099-01-01T00:00:00Z"}
        self.later, self.cancelled = (create_task(server, *CUSTOMER, **later)["id"] for _ in range(2))
        server.query(f'mutation {{ cancelTask(id: "{self.cancelled}") {{ status }} }}')
        server.query('mutation { pauseTaskType(type: "process_products") { paused } }')
        product = {"title": "Rug", "price": 1}
        self.held = create_task(server, "process_products", {"products": [product]}, correlationId="held")["id"]
        rest(server, "POST", "/webhook", raw=b"A NUL: \0")
        self.entry = server.query('mutation { createEntry(title: "Hello") { id } }')["createEntry"]["id"]
        wait_until(lambda: find(server, self.entry)["status"] == "PROCESSING")

    def wait(self, server: ServerProcess) -> None:
        """Let writes be accepted that are not applied; then the server is killed."""
        with server.database.no_drain():
            self.chair = create(server, "Chair")["write"]
            self.mugs = _create_mugs(server)["writes"]
            update(server, self.chair["productId"], "Stool")
            self.last = update(server, self.lamp["productId"], "Torch")["write"]
            server.kill()


_CREATE_MANY = """mutation ($products: [ProductInput!]!) {
  createProducts(products: $products, idempotencyKey: "mugs") { success writes { id productId } errors { code } } }"""


def _create_mugs(server: ServerProcess) -> Any:
    products = [{"title": title, "price": 1} for title in MUGS]
    return server.query(_CREATE_MANY, {"products": products})["createProducts"]


@pytest.fixture
def moved(make_server: MakeServer, tmp_path: Path, fleet: Fleet) -> tuple[Used, Move]:
    """An installation that was used, killed and copied."""
    server = make_server(tmp_path / "data", STAGE_SECONDS="3600").start()
    used, move = Used(server), Move(tmp_path / "data", fleet)
    used.wait(server)
    move.succeed()
    return used, move


def test_a_moved_installation_goes_on_as_if_nothing_had_happened(moved: tuple[Used, Move], fleet: Fleet) -> None:
    used, move = moved
    server = fleet.server().start()
    assert [server.query(RECEIPT % one["id"]) for one in used.settled] == used.receipts
    _assert_that_writes_go_on(used, server)
    _assert_that_tasks_go_on(used, server)
    assert fleet.rows("SELECT body FROM afterwrite.received_webhooks") == [("A NUL: \ufffd",)]
    files = {path.name: path.read_text().strip() for path in move.folder.glob("*-secret")}
    assert len(files) == 2
    assert dict(fleet.rows("SELECT name, value FROM afterwrite.secrets")) == files


def _assert_that_writes_go_on(used: Used, server: ServerProcess) -> None:
    wait_until(lambda: server.query(RECEIPT % used.last["id"])["write"]["status"] == "APPLIED")
    products = server.query("{ allProducts { id title } }")["allProducts"]
    assert [product["title"] for product in products] == ["Torch", "Desk", "Stool", *MUGS]
    given = [used.lamp, used.desk, used.chair, *used.mugs]
    assert [product["id"] for product in products] == [write["productId"] for write in given]
    for term, titles in (("RASS", ["Torch"]), ("ug", ["Mug"]), ("lamp", [])):
        found = server.query(f'{{ allProducts(search: "{term}") {{ title }} }}')["allProducts"]
        assert [product["title"] for product in found] == titles
    assert create(server, "Lamp", description="of brass", key="the lamp")["write"]["id"] == used.lamp["id"]
    assert codes(create(server, "Another", key="the lamp")) == ["IDEMPOTENCY_KEY_REUSED"]
    assert _create_mugs(server)["writes"] == used.mugs
    new = create(server, "New")["write"]
    assert int(new["id"]) > int(used.last["id"])
    assert int(new["productId"]) == int(used.mugs[-1]["productId"]) + 1


def _assert_that_tasks_go_on(used: Used, server: ServerProcess) -> None:
    assert find(server, used.paid, "status result createdAt finishedAt") == used.result
    assert create_task(server, *CUSTOMER, key="pay")["id"] == used.paid
    assert find(server, used.later)["status"] == "PENDING"
    actions = find(server, used.cancelled, "status actions { action }")
    assert actions == {"status": "CANCELLED", "actions": [{"action": "CANCEL"}]}
    assert wait_ended(server, used.entry) == "COMPLETED"  # its worker was killed, so its lock has expired
    assert find(server, used.held)["status"] == "PENDING"
    server.query('mutation { resumeTaskType(type: "process_products") { paused } }')
    assert wait_ended(server, used.held) == "COMPLETED"
    new = create_task(server, *CUSTOMER)["id"]
    assert int(new) > max(int(used.entry), int(used.held))
    assert wait_ended(server, new) == "COMPLETED"


def test_others_get_the_same_idempotency_keys_as_before(moved: tuple[Used, Move], fleet: Fleet) -> None:
    _, move = moved
    [(name,)] = move.in_files("tasks.db", "SELECT value FROM meta WHERE name = 'store'")
    assert fleet.rows("SELECT value FROM afterwrite.meta WHERE name = 'store'") == [(name,)]
