"""The last pieces of a stock are reserved exactly once each, whatever is killed: the application of examples/stock."""

import contextlib
import http.client
import json
import random
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg
import pytest
from databases import EmbeddedDatabase
from many_processes import Fleet, new_database
from postgres_server import require_postgres
from server_process import Client, ServerProcess, wait_until

from afterwrite.base.settings import Settings
from afterwrite.resources.registry import Resources
from afterwrite.storage.stores import prepare_stores
from examples.stock.app import Stock

PROGRAM = ("-m", "afterwrite", "serve", "examples.stock.app")
CLIENTS, PIECES, ASKED, KILLS = 16, 1_000, 1_200, 6
SEED = 20261130
SECONDS = 240
CREATE = """mutation { createStockSync(sku: "lamp-1", warehouse: "Ulm", onHand: %d) {
  success stock { id sku onHand version } write { status } } }"""
RESERVE = """mutation ($quantity: Int!, $key: String) {
  reserveStock(stockId: 1, quantity: $quantity, idempotencyKey: $key) {
    success write { id operation recordId } errors { field code message } } }"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")


@pytest.fixture
def stock(make_server: Callable[..., ServerProcess]) -> ServerProcess:
    """A running server of the example."""
    server = make_server()
    server.program = PROGRAM
    return server.start()


def test_an_application_without_products_has_no_product_anywhere(stock: ServerProcess) -> None:
    names = stock.query("{ __schema { types { name fields { name } enumValues { name } } } }")["__schema"]["types"]
    assert "product" not in json.dumps([one for one in names if one["name"] not in ("Mutation",)]).lower()
    with contextlib.closing(stock.client()) as client:
        status, overview = client.request("GET", "/", headers={"Accept": "text/html"})
        assert (status, b"/products" in overview) == (200, False)
        assert client.request("GET", "/products")[0] == 404
    assert stock.stop() == 0
    if isinstance(stock.database, EmbeddedDatabase):  # one of PostgreSQL is lent, and had products before
        with pytest.raises(sqlite3.OperationalError, match="no such table: products"):
            stock.database.rows("SELECT * FROM products")


@pytest.mark.one_database("of PostgreSQL only")
def test_a_new_schema_without_products_has_no_table_of_them() -> None:
    require_postgres()
    with new_database() as url:
        prepare_stores(Settings(database_url=url), Resources([Stock]))
        with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
            tables = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables").fetchall()}
    assert "stocks" in tables
    assert "products" not in tables


def test_operations_change_records_and_say_why_they_do_not(stock: ServerProcess) -> None:
    made = stock.query(CREATE % 5)["createStockSync"]
    assert made["stock"] == {"id": "1", "sku": "lamp-1", "onHand": 5, "version": 1}
    document = """mutation { reserveStockSync(stockId: 1, quantity: %s%s) {
      success message stock { onHand version } errors { code }
      write { operation resource error { code message } } } }"""
    taken = stock.query(document % (3, ""))["reserveStockSync"]
    assert (taken["success"], taken["stock"]) == (True, {"onHand": 2, "version": 2})
    assert taken["write"] == {"operation": "RESERVE", "resource": "Stock", "error": None}
    refused = stock.query(document % (3, ""))["reserveStockSync"]
    assert (refused["success"], refused["stock"], refused["errors"]) == (False, None, [{"code": "WRITE_FAILED"}])
    said = {"code": "OUT_OF_STOCK", "message": "2 of lamp-1 are left, 3 were asked for"}
    assert refused["write"]["error"] == said
    conflict = stock.query(document % (1, ", ifVersion: 1"))["reserveStockSync"]["write"]["error"]
    assert conflict["code"] == "VERSION_CONFLICT"
    assert conflict["message"].startswith("Stock 1 has version 2, not 1:")
    assert stock.query(document % (0, ""))["reserveStockSync"]["errors"] == [{"code": "OUT_OF_RANGE"}]
    found = stock.query('{ stocks(minOnHand: 1, warehouse: "Ulm") { nodes { sku } } warehouses { name count } }')
    assert found == {"stocks": {"nodes": [{"sku": "lamp-1"}]}, "warehouses": [{"name": "Ulm", "count": 1}]}


def test_two_records_never_have_the_same_unique_value(stock: ServerProcess) -> None:
    stock.query(CREATE % 5)
    document = """mutation { createStockSync(sku: "lamp-1", warehouse: "Bonn") { success write { error {
      code message } } } }"""
    error = stock.query(document)["createStockSync"]["write"]["error"]
    assert error == {"code": "NOT_UNIQUE", "message": "sku 'lamp-1' is taken by Stock 1: give another sku"}
    stock.query("mutation { deleteStock(stockId: 1) { success } }")
    assert stock.query(document)["createStockSync"]["success"]


@dataclass
class Buyer:
    """A client that reserves one piece after the other, and sends again what got no answer."""

    name: str
    random: random.Random
    left: "Left"
    acknowledged: list[int] = field(default_factory=list)
    key: str | None = None

    def buy(self, servers: Sequence[ServerProcess]) -> None:
        """Work until nothing is left to ask for."""
        while self._has_next():
            gone = contextlib.suppress(OSError, http.client.HTTPException, _Unanswered)
            with gone, contextlib.closing(self.random.choice(servers).client()) as client:
                while self._has_next():
                    self._reserve(client)

    def _has_next(self) -> bool:
        """Whether a reservation is to be sent, perhaps again."""
        if self.key is None and self.left.take():
            self.key = f"{self.name} {len(self.acknowledged)}"
        return self.key is not None

    def _reserve(self, client: Client) -> None:
        answer = client.execute(RESERVE, {"quantity": 1, "key": self.key})
        found = (answer.get("data") or {}).get("reserveStock") or {}
        if not found.get("success"):  # the server stops, or its database is away: the same again
            raise _Unanswered
        self.acknowledged.append(int(found["write"]["id"]))
        self.key = None
        self.left.done()


class _Unanswered(Exception):
    """Nothing was accepted."""


class Left:
    """How many reservations are still to be asked for, and how many were acknowledged."""

    def __init__(self, asked: int) -> None:
        self._left, self.acknowledged = asked, 0
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether there is one more to ask for; the caller asks for it."""
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def has(self, count: int) -> bool:
        """Whether so many were acknowledged."""
        return self.acknowledged >= count

    def done(self) -> None:
        """One more was acknowledged."""
        with self._lock:
            self.acknowledged += 1


def test_sixteen_clients_reserve_the_last_pieces_of_one_server(stock: ServerProcess) -> None:
    _sell_out([stock])
    wait_until(lambda: stock.query("{ queue { depth } }")["queue"]["depth"] == 0, SECONDS)
    assert stock.stop() == 0
    rows = stock.database.rows
    _check(
        rows("SELECT id, record_id, status, error_code FROM ledger WHERE operation = 'RESERVE' ORDER BY id"),
        rows("SELECT on_hand, version FROM stocks"),
    )


@pytest.mark.one_database("three servers share one PostgreSQL")
def test_sixteen_clients_reserve_the_last_pieces_of_three_servers(fleet: Fleet) -> None:
    servers = [fleet.server() for _ in range(3)]
    for server in servers:
        server.program = PROGRAM
        server.start()
    _sell_out(servers)
    wait_until(lambda: servers[0].query("{ queue { depth } }")["queue"]["depth"] == 0)
    ledger = "SELECT id, record_id, status, error_code FROM afterwrite.ledger WHERE operation = 'RESERVE' ORDER BY id"
    _check(fleet.rows(ledger), fleet.rows("SELECT on_hand, version FROM afterwrite.stocks"))


def _sell_out(servers: Sequence[ServerProcess]) -> None:
    """Let the clients ask for more than there is, and kill a server after every so many acknowledgements."""
    servers[0].query(CREATE % PIECES)
    left, chance = Left(ASKED), random.Random(SEED)
    buyers = [Buyer(f"buyer {number}", random.Random(f"{SEED} {number}"), left) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        working = [pool.submit(buyer.buy, servers) for buyer in buyers]
        for kill in range(1, KILLS + 1):
            wait_until(partial(left.has, kill * ASKED // (KILLS + 2)), SECONDS)
            victim = chance.choice(servers)
            victim.kill()
            victim.start()
        for one in working:
            one.result(SECONDS)
    acknowledged = [write for buyer in buyers for write in buyer.acknowledged]
    assert len(set(acknowledged)) == len(acknowledged) == ASKED


def _check(ledger: list[Any], stocks: list[Any]) -> None:
    """Every piece was reserved once, by the first who asked, and everybody after them was told so."""
    assert len(ledger) == ASKED
    outcomes = [(status, code) for _id, _record, status, code in ledger]
    assert outcomes == [("APPLIED", None)] * PIECES + [("FAILED", "OUT_OF_STOCK")] * (ASKED - PIECES)
    assert {record for _id, record, *_ in ledger} == {1}
    assert stocks == [(0, 1 + PIECES)]
