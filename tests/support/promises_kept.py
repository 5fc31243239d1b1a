"""Compares what clients were told with what is on disk."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from parcels_app import weighed
from server_process import ServerProcess
from write_load import PARCELS, Sent, Shopkeeper

Key = tuple[str, int | None]
"""A record: its resource and its id."""


class Settled(NamedTuple):
    """A row of the ledger."""

    id: int
    resource: str
    operation: str
    record_id: int
    title: str
    grams: int
    status: str

    @property
    def key(self) -> Key:
        """The record."""
        return self.resource, self.record_id


class Stored(NamedTuple):
    """A record; only parcels have a weight."""

    title: str
    version: int
    weight: int = 0


LEDGER = "SELECT id, resource, operation, record_id, arguments, status FROM ledger ORDER BY id"
RECORDS = {
    "Product": "SELECT id, title, version, 0 FROM products",
    "Parcel": "SELECT id, title, version, weight FROM parcels",
}


def settled(rows: Sequence[Any]) -> list[Settled]:
    """The rows of LEDGER."""
    found = []
    for write_id, resource, operation, record_id, arguments, status in rows:
        given = json.loads(arguments)
        title, grams = given.get("title", ""), given.get("grams", 0)
        found.append(Settled(write_id, resource, operation, record_id, title, grams, status))
    return found


def replayed(ledger: Sequence[Settled]) -> dict[Key, Stored]:
    """What the records must be: what their applied writes come to, in the order of the ledger."""
    expected: dict[Key, Stored] = {}
    for row in ledger:
        if row.status != "APPLIED":
            continue
        if row.operation == "CREATE":
            expected[row.key] = Stored(row.title, 1)
        elif row.operation == "DELETE":
            del expected[row.key]
        else:
            before = expected[row.key]
            weight = weighed(before.weight, row.grams) if row.operation == "WEIGH" else before.weight
            expected[row.key] = Stored(row.title, before.version + 1, weight)
    return expected


def check_promises(server: ServerProcess, shop: list[Shopkeeper]) -> int:
    """Check P1 to P4 and P8 on the data of a stopped server; returns how many writes were acknowledged."""
    database = server.database
    assert database.journal() == [], "the journal is not drained"
    database.check_integrity()
    ledger = settled(database.rows(LEDGER))
    names = ["Product", *(["Parcel"] if PARCELS in shop[0].kinds else [])]
    records = {(name, row[0]): Stored(*row[1:]) for name in names for row in database.rows(RECORDS[name])}
    sent = [write for keeper in shop for write in keeper.sent]
    _check_nothing_twice(ledger, sent)
    _check_acknowledged(ledger, sent)
    assert {row.status for row in ledger} == {"APPLIED"}
    assert records == replayed(ledger)
    for keeper in shop:
        _check_order(ledger, keeper.sent)
    return sum(write.write_id is not None for write in sent)


def _check_nothing_twice(ledger: list[Settled], sent: list[Sent]) -> None:
    counts = Counter(row.title or f"delete {row.key}" for row in ledger)
    assert {title: count for title, count in counts.items() if count > 1} == {}
    known = {write.title or f"delete {(write.resource, write.record_id)}" for write in sent if write.refused is None}
    assert counts.keys() <= known, "a write in the ledger was never sent, or was refused"
    created = Counter(row.key for row in ledger if row.operation == "CREATE")
    assert {record: count for record, count in created.items() if count > 1} == {}


def _check_acknowledged(ledger: list[Settled], sent: list[Sent]) -> None:
    by_id = {row.id: row for row in ledger}
    acknowledged = [write for write in sent if write.write_id is not None]
    assert len({write.write_id for write in acknowledged}) == len(acknowledged)
    wrong = [write for write in acknowledged if not is_settled_as_sent(by_id.get(write.write_id or 0), write)]
    assert wrong == [], f"{len(wrong)} of {len(acknowledged)} acknowledged writes are not in the ledger"


def is_settled_as_sent(row: Settled | None, write: Sent) -> bool:
    """Whether a row of the ledger is this write, applied."""
    sent = (write.resource, write.operation, write.record_id, write.title, "APPLIED")
    return row is not None and (row.resource, row.operation, row.record_id, row.title, row.status) == sent


def _check_order(ledger: list[Settled], sent: list[Sent]) -> None:
    """The writes of each record are settled in the order in which its client sent them."""
    place = {
        (write.operation, write.title or (write.resource, write.record_id)): number for number, write in enumerate(sent)
    }
    places = defaultdict(list)
    for row in ledger:
        number = place.get((row.operation, row.title or row.key))
        if number is not None:
            places[row.key].append(number)
    assert [record for record, numbers in places.items() if numbers != sorted(numbers)] == []
