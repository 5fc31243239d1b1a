"""Who had which write accepted: on its receipt for good, and a filter of the pages of receipts."""

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from graphql import graphql_sync
from in_process import Catalogue, EmbeddedCatalogue, create, delete, update
from older_folder import make_older, run_on
from sqlalchemy.dialects import sqlite

from afterwrite.resources.write import Write, WriteFilter, WriteStatus
from afterwrite.service.context import Context
from afterwrite.storage.ledger import newest_statement
from afterwrite.storage.sqlite import journal
from app import application

EVERYTHING = 1_000_000
ANN, BEN = "ann", "ben"
CREATE = 'mutation { createProduct(title: "Lamp", price: 1, idempotencyKey: "k") { write { id acceptedBy } } }'


def context(catalogue: Catalogue, by: str | None) -> Context:
    """What the resolvers of a request of this caller work with."""
    return Context(
        catalogue.stores.records,
        catalogue.queue,
        catalogue.tasks.queue,
        catalogue.context.wait_until,
        catalogue.context.base_url,
        by=by,
    )


def ask(catalogue: Catalogue, document: str, by: str | None = None) -> Any:
    """The data that a caller is answered."""
    answer = graphql_sync(application.schema, document, context_value=context(catalogue, by))
    assert answer.errors is None, answer.errors
    return answer.data


def ids(writes: list[Write]) -> list[int]:
    """The ids of receipts."""
    return [write.id for write in writes]


def newest(catalogue: Catalogue, limit: int = EVERYTHING, **wanted: Any) -> list[int]:
    """The ids of the newest receipts that a filter lets through."""
    return ids(catalogue.queue.newest(WriteFilter(**wanted), None, limit))


def test_the_name_stays_on_a_receipt_that_waits_is_settled_or_failed(catalogue: Catalogue) -> None:
    catalogue.hold()
    accepted = catalogue.queue.accept([create("lamp"), delete(99)], None, ANN)
    accepted += catalogue.queue.accept([create("chair")])
    assert [write.accepted_by for write in accepted] == [ANN, ANN, None]
    assert [catalogue.queue.find(write.id) for write in accepted] == accepted
    catalogue.settle()
    settled = [catalogue.queue.find(write.id) for write in accepted]
    assert [(write.accepted_by, write.status) for write in settled if write] == [
        (ANN, "APPLIED"),
        (ANN, "FAILED"),
        (None, "APPLIED"),
    ]


def test_a_repeat_is_the_same_write_whoever_sends_it(catalogue: Catalogue) -> None:
    first = ask(catalogue, CREATE, ANN)["createProduct"]["write"]
    assert first["acceptedBy"] == ANN
    assert ask(catalogue, CREATE, BEN)["createProduct"]["write"] == first


def test_receipts_are_filtered_by_product_name_and_status_wherever_they_are(catalogue: Catalogue) -> None:
    made: list[Write] = []
    for held in (False, True):
        if held:
            catalogue.hold()
        for by in (ANN, BEN, None):
            made += catalogue.queue.accept([create("x"), update(1, title="y"), delete(999)], None, by)
        if not held:
            catalogue.settle()
    now = {write.id: write for write in catalogue.queue.newest(WriteFilter(), None, EVERYTHING)}
    assert len(now) == len(made) == 18
    filters = itertools.product((None, *WriteStatus), (None, "Product", "Other"), (None, 1, 999), (None, ANN, BEN))
    for status, resource, product_id, by in filters:
        if resource is None and product_id is not None:
            continue  # an id is of a resource
        expected = [
            write.id
            for write in reversed(now.values())
            if status in (None, write.status)
            and resource in (None, write.resource)
            and product_id in (None, write.record_id)
            and by in (None, write.accepted_by)
        ][::-1]
        wanted = WriteFilter(status, resource, product_id, by)
        assert ids(catalogue.queue.newest(wanted, None, EVERYTHING)) == expected, wanted
        assert ids(catalogue.queue.newest(wanted, None, 2)) == expected[:2], wanted
        for before in expected[:1]:
            assert ids(catalogue.queue.newest(wanted, before, EVERYTHING)) == expected[1:], wanted


def test_a_page_misses_no_waiting_write_however_far_apart_they_are(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_SCANNED_AT_ONCE", 7)
    catalogue.write(create("settled"))
    catalogue.hold()
    mine = []
    for number in range(100):
        by = ANN if number % 23 == 0 else BEN
        [write] = catalogue.queue.accept([create(str(number))], None, by)
        mine += [write.id] if by == ANN else []
    assert len(mine) == 5
    assert newest(catalogue, by=ANN) == mine[::-1]
    assert newest(catalogue, limit=2, by=ANN) == mine[:-3:-1]
    assert newest(catalogue, by="nobody") == []
    catalogue.settle()
    assert newest(catalogue, by=ANN) == mine[::-1]


def test_the_api_shows_and_filters_names(catalogue: Catalogue) -> None:
    for by in (ANN, BEN):
        catalogue.queue.accept([create("lamp"), delete(77)], None, by)
    catalogue.settle()
    page = ask(catalogue, '{ writes(by: "ann", productId: 77) { nodes { productId acceptedBy status } } }')
    assert page["writes"]["nodes"] == [{"productId": "77", "acceptedBy": ANN, "status": "FAILED"}]
    refused = graphql_sync(application.schema, '{ writes(by: "") { nodes { id } } }', context_value=catalogue.context)
    assert refused.errors is not None
    assert "by is '': give a name of 1 to 64" in str(refused.errors[0])


# Of SQLite only: it is SQLite's plan that is read.
@pytest.mark.parametrize("status", [None, WriteStatus.APPLIED, WriteStatus.FAILED])
@pytest.mark.parametrize(("of_resource", "of_record"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("by_name", [False, True])
def test_a_page_of_the_ledger_is_read_in_order_through_the_narrowest_index(
    tmp_path: Path, status: WriteStatus | None, of_resource: bool, of_record: bool, by_name: bool
) -> None:
    catalogue = EmbeddedCatalogue(tmp_path / "data")
    page = newest_statement(status, of_resource, of_record, by_name)
    statement = page.compile(dialect=sqlite.dialect(paramstyle="named"))
    values = {"before": 2**62, "limit": 51, "resource": "Product", "record_id": 1, "by": ANN}
    with closing(sqlite3.connect(catalogue.path)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values | statement.params)
        plan = " ".join(row[3] for row in rows)
    failed = status is WriteStatus.FAILED
    by_status = "ledger_failed " if failed else "ledger_by_resource " if of_resource else "PRIMARY KEY"
    expected = "ledger_failed_by_name " if failed else "ledger_by_name "
    expected = "ledger_by_record " if of_record else expected if by_name else by_status
    assert expected in plan, plan
    assert "TEMP B-TREE" not in plan
    catalogue.stop()


# Of SQLite only: PostgreSQL has had one schema so far.
def test_a_data_folder_of_the_schema_before_is_opened_and_replayed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    make_older(folder / "products.db", "products", 1)
    make_older(folder / "journal.db", "journal", 1)
    arguments = create("lamp").arguments
    run_on(
        folder / "products.db",
        "INSERT INTO ledger VALUES (5, 'DELETE', 9, '{}', 1, NULL, 'FAILED', 'PRODUCT_NOT_FOUND', 'None', 2)",
    )
    run_on(folder / "products.db", "UPDATE ledger_totals SET writes = 1 WHERE status = 'FAILED'")
    run_on(folder / "journal.db", "INSERT INTO writes VALUES (6, 'CREATE', 1, ?, 3, NULL)", arguments)
    run_on(folder / "journal.db", "INSERT INTO writes VALUES (7, 'DELETE', 9, '{}', 3, 5)")
    catalogue = EmbeddedCatalogue(folder)
    try:
        catalogue.settle()
        receipts = catalogue.queue.newest(WriteFilter(), None, 10)
        assert [(write.id, write.status, write.accepted_by, write.retry_of) for write in receipts] == [
            (7, "FAILED", None, 5),
            (6, "APPLIED", None, None),
            (5, "FAILED", None, None),
        ]
        assert [product.title for product in catalogue.products.page("", 10, 0)] == ["lamp"]
        catalogue.queue.accept([create("chair")], None, ANN)
        catalogue.settle()
        assert newest(catalogue, by=ANN) == [catalogue.queue.last_write_id]
    finally:
        catalogue.stop()


def test_polling_sees_what_was_accepted_and_what_is_settled(catalogue: Catalogue) -> None:
    catalogue.settle()
    queue = catalogue.queue
    assert queue.last_write_id == queue.settled_through == 0
    catalogue.hold()
    accepted = queue.accept([create("lamp"), delete(99)])
    assert queue.last_write_id == accepted[-1].id
    assert queue.settled_through < accepted[0].id
    assert queue.counts() == {WriteStatus.QUEUED: 2, WriteStatus.APPLIED: 0, WriteStatus.FAILED: 0}
    catalogue.settle()
    assert queue.settled_through == queue.last_write_id == accepted[-1].id
    assert queue.counts() == {WriteStatus.QUEUED: 0, WriteStatus.APPLIED: 1, WriteStatus.FAILED: 1}
