"""async_db writes from Python: in routes, workers and resolvers of a server, and with PostgreSQL in any process."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from declared import RESOURCES
from many_processes import Fleet
from server_process import ROOT, ServerProcess, wait_until

import async_db
from afterwrite import Refused, WrongProcess
from afterwrite.base.settings import Settings
from afterwrite.graphql_http import RequestError
from afterwrite.resources.registry import Resources
from afterwrite.service.service import Service
from examples.stock.app import Stock
from product_types import Product

WORKERS = {"WORKER_MODULES": "writing_workers", "PYTHONPATH": str(ROOT / "tests" / "support")}
TITLES = "{ allProducts { title } }"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service of this process, which async_db finds by itself."""
    made = Service(Settings(data_dir=tmp_path), RESOURCES)
    made.start()
    yield made
    made.stop()


def test_create_update_and_delete_answer_before_they_are_applied_and_can_be_waited_for(service: Service) -> None:
    created = async_db.fire_and_forget_create(Product, {"title": "Lamp", "price": 12.5})
    assert async_db.settled(created).status == "APPLIED"
    changed = async_db.update_sync(Product, created.record_id, {"price": 13})
    assert (changed.status, changed.operation) == ("APPLIED", "UPDATE")
    found = service.records["Product"].get(created.record_id)
    assert found is not None
    assert (found.title, found.price, found.version) == ("Lamp", 13, 2)
    deleted = async_db.fire_and_forget_delete(Product, created.record_id)
    assert async_db.settled(deleted).status == "APPLIED"
    assert service.records["Product"].get(created.record_id) is None
    again = async_db.delete_sync(Product, created.record_id)
    assert (again.status, again.error_code) == ("FAILED", "PRODUCT_NOT_FOUND")
    assert async_db.fire_and_forget_update(Product, created.record_id, {"price": 1}).id > again.id


def test_an_operation_is_called_by_its_name_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    service = Service(Settings(data_dir=tmp_path), Resources([Stock]))
    service.start()
    try:
        stock = async_db.create_sync(Stock, {"sku": "lamp-1", "warehouse": "Ulm", "on_hand": 5}).record_id
        reserved = async_db.settled(async_db.fire_and_forget(Stock, "reserve", stock, {"quantity": 2}))
        assert (reserved.status, reserved.operation) == ("APPLIED", "RESERVE")
        taken = async_db.settled(async_db.fire_and_forget(Stock, "reserve", stock, {"quantity": 4}, if_version=2))
        assert (taken.status, taken.error_code) == ("FAILED", "OUT_OF_STOCK")
        with pytest.raises(ValueError, match="Stock has no operation 'sell': its operations are reserve"):
            async_db.fire_and_forget(Stock, "sell", stock, {})
        upserted = async_db.fire_and_forget_upsert(Stock, {"sku": "lamp-1", "warehouse": "Bonn"})
        assert async_db.settled(upserted).record_id == stock
        other = async_db.create_sync(Stock, {"sku": "lamp-2", "warehouse": "Ulm"}).record_id
        changes = [{"stock_id": stock, "on_hand": 9}, {"stock_id": other, "on_hand": 8, "if_version": 1}]
        async_db.settled(async_db.fire_and_forget_update_many(Stock, changes)[-1])
        found = async_db.find(Stock, order_by="SKU_ASC")
        assert [(one.warehouse, one.on_hand) for one in found] == [("Bonn", 9), ("Ulm", 8)]
        gone = async_db.fire_and_forget_delete_many(Stock, [stock, other])
        assert [async_db.settled(one).status for one in gone] == ["APPLIED", "APPLIED"]
    finally:
        service.stop()


def test_an_upsert_needs_a_field_that_is_unique_and_required(service: Service) -> None:
    with pytest.raises(ValueError, match="Product has no field that is unique and required: an upsert needs one"):
        async_db.fire_and_forget_upsert(Product, {"title": "Lamp", "price": 1})


def test_many_are_accepted_together_in_their_order(service: Service) -> None:
    writes = async_db.fire_and_forget_create_many(Product, [{"title": title, "price": 1} for title in "abc"])
    assert [write.id for write in writes] == sorted(write.id for write in writes)
    assert async_db.settled(writes[-1]).status == "APPLIED"
    assert [product.title for product in service.records["Product"].page("", 10, 0)] == ["a", "b", "c"]


def test_records_are_found_by_the_filters_and_orders_of_their_connection(service: Service) -> None:
    prices = {"Lamp": 30, "Desk": 200, "Chair": 70}
    writes = async_db.fire_and_forget_create_many(
        Product, [{"title": one, "price": cost} for one, cost in prices.items()]
    )
    async_db.settled(writes[-1])
    cheap = async_db.find(Product, max_price=100, order_by="PRICE_DESC")
    assert [product.title for product in cheap] == ["Chair", "Lamp"]
    assert [product.title for product in async_db.find(Product, search="des")] == ["Desk"]
    assert [product.title for product in async_db.find(Product, first=1)] == ["Lamp"]
    assert async_db.get(Product, writes[1].record_id).title == "Desk"
    assert async_db.get(Product, 77) is None


@pytest.mark.parametrize(
    ("ask", "kind", "said"),
    [
        (lambda: async_db.find(Product, colour="red"), ValueError, "Product has no filter 'colour': its filters are"),
        (
            lambda: async_db.find(Product, order_by="COLOUR"),
            ValueError,
            "Product has no order 'COLOUR': give one of ID_",
        ),
        (lambda: async_db.find(Product, first=501), RequestError, "first is 501: give 0 to 500"),
        (lambda: async_db.get(Product, "seven"), RequestError, "id is 'seven'"),
        (lambda: async_db.get(Stock, 1), WrongProcess, "This process reads no records of Stock: it is not among the"),
    ],
)
def test_an_impossible_read_says_what_to_give(
    service: Service, ask: Callable[[], Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        ask()


def test_what_is_refused_names_its_fields_and_accepts_nothing(service: Service) -> None:
    with pytest.raises(Refused) as refused:
        async_db.fire_and_forget_create(Product, {"title": "", "price": -1})
    assert [(problem.field, problem.code) for problem in refused.value.problems] == [
        (["title"], "REQUIRED"),
        (["price"], "OUT_OF_RANGE"),
    ]
    with pytest.raises(Refused, match="give the whole number of a product"):
        async_db.fire_and_forget_delete(Product, "seven")
    assert service.queue.last_write_id == 0


def test_the_same_key_gives_the_same_receipt(service: Service) -> None:
    first = async_db.create_sync(Product, {"title": "Lamp", "price": 1}, idempotency_key="delivery 7")
    again = async_db.fire_and_forget_create(Product, {"title": "Lamp", "price": 1}, idempotency_key="delivery 7")
    assert (again.id, again.status) == (first.id, "APPLIED")


def test_elsewhere_one_line_says_who_owns_the_journal(tmp_path: Path) -> None:
    done = _python(tmp_path, "async_db.fire_and_forget_create(Product, {'title': 'Lamp', 'price': 1})")
    assert done.returncode == 1
    assert re.search(
        r"WrongProcess: The server owns the journal in .*: write through its API at "
        r"http://127\.0\.0\.1:\d+/graphql, or set DATABASE_URL",
        done.stderr.splitlines()[-1],
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("wait", [False, True])
def test_a_worker_of_the_server_writes(make_server: Callable[..., ServerProcess], wait: bool) -> None:
    server = make_server(**WORKERS).start()
    payload = {"title": "Lamp", "price": 12.5, "wait": wait}
    task = _task(server, payload)
    wait_until(lambda: server.query(TITLES)["allProducts"] == [{"title": "Lamp"}])
    wait_until(lambda: _ended(server, task)["status"] == "COMPLETED")
    if wait:
        result = _ended(server, task)["result"]
        assert (result["status"], result["found"]) == ("APPLIED", "Lamp")


def test_a_process_of_workers_and_a_script_write_into_postgresql(fleet: Fleet, tmp_path: Path) -> None:
    server = fleet.server(**WORKERS, RUN_WORKERS="off").start()
    fleet.worker("--types", "arrival", **WORKERS).start()
    task = _task(server, {"title": "Lamp", "price": 1, "wait": True})
    wait_until(lambda: _ended(server, task)["status"] == "COMPLETED")
    result = _ended(server, task)["result"]
    assert (result["status"], result["found"]) == ("APPLIED", "Lamp")
    script = "print(async_db.create_sync(Product, {'title': 'Chair', 'price': 2}).status)"
    done = _python(tmp_path, script, DATABASE_URL=fleet.url)
    assert (done.stdout, done.returncode) == ("APPLIED\n", 0), done.stderr
    assert server.query(TITLES)["allProducts"] == [{"title": "Lamp"}, {"title": "Chair"}]


def test_a_script_that_writes_and_ends_loses_nothing_though_no_server_runs(fleet: Fleet, tmp_path: Path) -> None:
    script = "print(async_db.fire_and_forget_create(Product, {'title': 'Lamp', 'price': 1}).status)"
    done = _python(tmp_path, script, DATABASE_URL=fleet.url)
    assert (done.stdout, done.returncode) == ("QUEUED\n", 0), done.stderr
    server = fleet.server().start()
    wait_until(lambda: server.query(TITLES)["allProducts"] == [{"title": "Lamp"}])


def _python(folder: Path, statement: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    given = {**os.environ, "DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", f"import async_db; from product_types import Product; {statement}"]
    return subprocess.run(command, env=given, cwd=folder, capture_output=True, text=True, timeout=60)


def _task(server: ServerProcess, payload: dict[str, Any]) -> str:
    document = 'mutation ($payload: JSON!) { createTask(type: "arrival", payload: $payload) { id } }'
    made: str = server.query(document, {"payload": payload})["createTask"]["id"]
    return made


def _ended(server: ServerProcess, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = server.query(f"{{ task(id: {task_id}) {{ status result }} }}")["task"]
    return found
