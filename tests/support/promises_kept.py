"""Compares what clients were told with what is on disk."""

import json
from collections import Counter, defaultdict
from typing import NamedTuple

from server_process import ServerProcess
from write_load import Sent, Shopkeeper


class Settled(NamedTuple):
    """A row of the ledger."""

    id: int
    operation: str
    product_id: int
    title: str
    status: str


class Stored(NamedTuple):
    """A row of the products."""

    title: str
    version: int


def check_promises(server: ServerProcess, shop: list[Shopkeeper]) -> int:
    """Check P1 to P4 and P8 on the data of a stopped server; returns how many writes were acknowledged."""
    database = server.database
    assert database.journal() == [], "the journal is not drained"
    database.check_integrity()
    rows = database.rows("SELECT id, operation, product_id, arguments, status FROM ledger ORDER BY id")
    ledger = [Settled(row[0], row[1], row[2], json.loads(row[3]).get("title", ""), row[4]) for row in rows]
    found = database.rows("SELECT id, title, version FROM products")
    products = {row[0]: Stored(*row[1:]) for row in found}
    sent = [write for keeper in shop for write in keeper.sent]
    _check_nothing_twice(ledger, sent)
    _check_acknowledged(ledger, sent)
    _check_products(ledger, products)
    for keeper in shop:
        _check_order(ledger, keeper.sent)
    return sum(write.write_id is not None for write in sent)


def _check_nothing_twice(ledger: list[Settled], sent: list[Sent]) -> None:
    settled = Counter(row.title or f"delete {row.product_id}" for row in ledger)
    assert {title: count for title, count in settled.items() if count > 1} == {}
    known = {write.title or f"delete {write.product_id}" for write in sent if write.refused is None}
    assert settled.keys() <= known, "the ledger has a write that nobody sent, or that was refused"
    created = Counter(row.product_id for row in ledger if row.operation == "CREATE")
    assert {product: count for product, count in created.items() if count > 1} == {}


def _check_acknowledged(ledger: list[Settled], sent: list[Sent]) -> None:
    by_id = {row.id: row for row in ledger}
    acknowledged = [write for write in sent if write.write_id is not None]
    assert len({write.write_id for write in acknowledged}) == len(acknowledged)
    wrong = [
        write
        for write in acknowledged
        if by_id.get(write.write_id or 0) != (write.write_id, write.operation, write.product_id, write.title, "APPLIED")
    ]
    assert wrong == [], f"{len(wrong)} of {len(acknowledged)} acknowledged writes are not in the ledger"


def _check_products(ledger: list[Settled], products: dict[int, Stored]) -> None:
    """Every product is what its settled writes come to, in the order of the ledger."""
    expected: dict[int, Stored] = {}
    for row in ledger:
        assert row.status == "APPLIED", row
        if row.operation == "CREATE":
            expected[row.product_id] = Stored(row.title, 1)
        elif row.operation == "UPDATE":
            expected[row.product_id] = Stored(row.title, expected[row.product_id].version + 1)
        else:
            del expected[row.product_id]
    assert products == expected


def _check_order(ledger: list[Settled], sent: list[Sent]) -> None:
    """The writes of each product are settled in the order in which its client sent them."""
    place = {(write.operation, write.title or write.product_id): number for number, write in enumerate(sent)}
    places = defaultdict(list)
    for row in ledger:
        number = place.get((row.operation, row.title or row.product_id))
        if number is not None:
            places[row.product_id].append(number)
    assert [product for product, numbers in places.items() if numbers != sorted(numbers)] == []
