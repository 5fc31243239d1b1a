"""Copies embedded installations into PostgreSQL: all of each, whatever interrupts that, and nothing into a wrong place."""

import contextlib
import io
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ServerProcess, wait_until
from many_processes import SMALL, Fleet, new_database
from moving_house import FILES, Move, make_folder
from other_process import write_lock
from postgres_server import require_postgres
from product_calls import codes, create, create_many, update
from task_calls import create as create_task
from task_calls import find, rest, wait_ended

from database.moving.rows import chunks, summarize
from database.postgres.address import address_of
from database.postgres.migrations import migrate
from database.sqlite.journal import Journal
from database.write_store import KeyUse
from migrate_to_postgres import Progress
from settings import from_environment
from time_ordered import first_id_of
from writes import Operation, Write

MakeServer = Callable[..., ServerProcess]
NOW_US = 1_700_000_000_000_000
RECEIPT = '{ write(id: "%s") { status productId error { code } acceptedAt settledAt } }'


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Processes on a new database."""
    require_postgres()
    with new_database() as url:
        made = Fleet(tmp_path, url)
        yield made
        made.kill_all()


@pytest.fixture
def move(tmp_path: Path, fleet: Fleet) -> Move:
    """A move of the folder ``data``, which is not there yet."""
    return Move(tmp_path / "data", fleet)


def make_schema(fleet: Fleet) -> None:
    """The schema of an empty installation."""
    migrate(address_of(from_environment({"DATABASE_URL": fleet.url})))


class Killed:
    """An installation that was used for a while, then killed with writes and tasks under way."""

    def __init__(self, server: ServerProcess) -> None:
        server.start()
        self.lamp = create(server, "Lamp", description="of brass", key="the lamp")["write"]
        self.desk = create(server, "Desk")["write"]
        self.failed = update(server, "999", "Nothing")["write"]
        wait_until(lambda: server.query(RECEIPT % self.failed["id"])["write"]["status"] == "FAILED")
        self.receipts = [server.query(RECEIPT % one["id"]) for one in (self.lamp, self.desk, self.failed)]
        payload = {"email": "ann@example.com", "name": "Ann"}
        self.paid = create_task(server, "stripe_customer", payload, key="pay")["id"]
        assert wait_ended(server, self.paid) == "COMPLETED"
        server.query('mutation { pauseTaskType(type: "process_products") { paused } }')
        self.held = rest(server, "POST", "/api/process", {"payload": {"products": []}}).body
        later = {"runAt": "2099-01-01T00:00:00Z", "key": "later"}
        self.later = create_task(server, "stripe_customer", payload, **later)["id"]
        self.cancelled = create_task(server, "stripe_customer", payload, runAt="2099-01-01T00:00:00Z")["id"]
        server.query(f'mutation {{ cancelTask(id: "{self.cancelled}") {{ task {{ status }} }} }}')
        rest(server, "POST", "/webhook", raw=b'{"correlation_id": "a\\u0000b"}\0\xff')
        self.entry = server.query('mutation { createEntry(title: "Hello") { id } }')["createEntry"]["id"]
        wait_until(lambda: find(server, self.entry)["status"] == "PROCESSING")
        with write_lock(server.data_dir / "products.db"):
            self.waiting = [create(server, f"Chair {number}")["write"] for number in range(3)]
            self.keyed = create_many(server, ["Mug", "Cup"], key="mug and cup") if False else None
            update(server, self.waiting[0]["productId"], "Stool")
            self.last = update(server, self.lamp["productId"], "Torch")["write"]
            server.kill()


def test_what_was_there_goes_on_in_postgresql(make_server: MakeServer, move: Move, fleet: Fleet) -> None:
    before = Killed(make_server(move.folder, STAGE_SECONDS="3600"))
    files = {path.name: path.read_bytes() for path in move.folder.glob("*-secret")}
    move.succeed()

    server = fleet.server().start()
    for receipt, old in zip((before.lamp, before.desk, before.failed), before.receipts, strict=True):
        assert server.query(RECEIPT % receipt["id"]) == old
    wait_until(lambda: server.query(RECEIPT % before.last["id"])["write"]["status"] == "APPLIED")
    titles = [product["title"] for product in server.query("{ allProducts { title } }")["allProducts"]]
    assert titles == ["Torch", "Desk", "Stool", "Chair 1", "Chair 2"]
    assert server.query('{ allProducts(search: "RASS") { title } }')["allProducts"] == [{"title": "Torch"}]

    assert create(server, "Lamp", description="of brass", key="the lamp")["write"]["id"] == before.lamp["id"]
    assert codes(create(server, "Another", key="the lamp")) == ["IDEMPOTENCY_KEY_REUSED"]
    new = create(server, "New")["write"]
    assert int(new["id"]) > int(before.last["id"])
    assert int(new["productId"]) == int(before.waiting[-1]["productId"]) + 1

    assert find(server, before.paid, "status result") == {
        "status": "COMPLETED",
        "result": find(server, before.paid, "result")["result"],
    }
    assert find(server, before.later, "status") == {"status": "PENDING"}
    assert find(server, before.cancelled, "actions { action }")["actions"] == [{"action": "CANCEL"}]
    payload = {"email": "ann@example.com", "name": "Ann"}
    assert create_task(server, "stripe_customer", payload, key="pay")["id"] == before.paid
    assert wait_ended(server, before.entry) == "COMPLETED"  # its worker was killed; the lock has expired
    assert server.query('{ taskType(name: "process_products") { paused } }') == {"taskType": {"paused": True}}
    assert create_task(server, "stripe_customer", payload)["id"] > before.entry

    [(body, correlation_id)] = fleet.rows("SELECT body, correlation_id FROM afterwrite.received_webhooks")
    assert (body, correlation_id) == ('{"correlation_id": "a\\u0000b"}\ufffd\ufffd', "a\ufffdb")
    secrets = dict(fleet.rows("SELECT name, value FROM afterwrite.secrets"))
    assert secrets == {name: text.decode().strip() for name, text in files.items()}
