"""Lets writes wait in great numbers, and bad ones among good ones."""

import contextlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from product_calls import codes, create, create_many, health, stored_titles, update, wait_applied
from server_process import ServerProcess

MakeServer = Callable[..., ServerProcess]
BATCH = 500
MILLION = 1_000_000
MOST_GROWTH_BYTES = 100 * 1000 * 1000
_ONE_THOUSAND = "mutation ($products: [ProductInput!]!) { createProducts(products: $products) { success } }"


def test_a_write_that_breaks_a_constraint_fails_alone_in_its_batch(server: ServerProcess) -> None:
    titles = [f"product {number}" for number in range(BATCH)]
    with server.database.refusing("products", "title = 'product 250'"):
        with server.database.no_drain():
            receipts = create_many(server, titles)["writes"]
        wait_applied(server)
    assert stored_titles(server) == titles[:250] + titles[251:]
    assert _failures(server) == {receipts[250]["id"]: "CONSTRAINT_VIOLATED"}
    assert "picky" in _error_message(server, receipts[250]["id"])


def test_an_update_of_no_product_fails_alone_in_its_batch(server: ServerProcess) -> None:
    with server.database.no_drain():
        create_many(server, [f"before {number}" for number in range(250)])
        lost = update(server, "999999", "nobody")["write"]["id"]
        create_many(server, [f"after {number}" for number in range(249)])
    wait_applied(server)
    assert len(stored_titles(server)) == BATCH - 1
    assert _failures(server) == {lost: "PRODUCT_NOT_FOUND"}
    assert "999999" in _error_message(server, lost)


def test_past_the_most_writes_nothing_is_accepted_until_some_are_applied(make_server: MakeServer) -> None:
    server = make_server(QUEUE_MAX_WRITES="10").start()
    with server.database.no_drain():
        assert create_many(server, [f"first {number}" for number in range(8)])["success"]
        assert codes(create_many(server, ["too", "many", "now"])) == ["QUEUE_FULL"]
        assert health(server)["queue"]["depth"] == 8
        assert create_many(server, ["9th", "10th"])["success"]
        full = create(server, "11th")
        assert codes(full) == ["QUEUE_FULL"]
        assert full["write"] is None
        assert "10 writes" in full["message"]
    wait_applied(server)
    assert create(server, "again")["success"]
    wait_applied(server)
    first = [f"first {number}" for number in range(8)]
    assert stored_titles(server) == [*first, "9th", "10th", "again"]


def test_past_the_most_bytes_nothing_is_accepted_until_some_are_applied(make_server: MakeServer) -> None:
    server = make_server(QUEUE_MAX_BYTES="10000").start()
    bulk = "x" * 2_000
    with server.database.no_drain():
        assert create_many(server, ["one", "two", "three"], description=bulk)["success"]
        before = health(server)["queue"]
        assert codes(create_many(server, ["four", "five"], description=bulk)) == ["QUEUE_FULL"]
        assert health(server)["queue"]["bytes"] == before["bytes"]
        assert create(server, "four", description=bulk)["success"]
        assert codes(create(server, "five", description=bulk)) == ["QUEUE_FULL"]
        assert create(server, "small")["success"]
    wait_applied(server)
    assert create(server, "again", description=bulk)["success"]
    wait_applied(server)
    assert stored_titles(server) == ["one", "two", "three", "four", "small", "again"]


@pytest.mark.one_database("nothing is kept in memory that has the journal in another process")
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")
def test_a_million_waiting_writes_take_less_than_100_mb_of_memory(server: ServerProcess) -> None:
    product = {"title": "One of very many", "price": 12.5, "category": "Things"}
    variables = {"products": [product] * 1_000}
    body = json.dumps({"query": _ONE_THOUSAND, "variables": variables}).encode()
    with server.database.no_drain(), contextlib.closing(server.client()) as client:
        before = _memory_bytes(server.worker())
        for _ in range(MILLION // 1_000):
            _status, answer = client.request("POST", "/graphql", body, {"Content-Type": "application/json"})
            assert answer == b'{"data":{"createProducts":{"success":true}}}'
        growth = _memory_bytes(server.worker()) - before
        assert health(server)["queue"]["depth"] == MILLION
        assert codes(create(server, "one more")) == ["QUEUE_FULL"]
        assert growth < MOST_GROWTH_BYTES
        server.kill()


def _memory_bytes(pid: int) -> int:
    resident = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert resident is not None
    return int(resident[1]) * 1024


def _failures(server: ServerProcess) -> dict[str, str]:
    """The codes of the writes that failed, by their ids; every other write is applied."""
    rows = server.database.rows("SELECT id, status, error_code FROM ledger")
    assert Counter(status for _id, status, _code in rows).keys() <= {"APPLIED", "FAILED"}
    return {str(write_id): code for write_id, status, code in rows if status == "FAILED"}


def _error_message(server: ServerProcess, write_id: str) -> str:
    document = "query ($id: ID!) { write(id: $id) { error { message } } }"
    return str(server.query(document, {"id": write_id})["write"]["error"]["message"])
