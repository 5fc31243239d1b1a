"""init-db loads a file of any resource of the application, named in any of its spellings."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from databases import Database
from server_process import ROOT

SUPPORT = ROOT / "tests" / "support"
SHIPMENTS = "article;amount;status;due_date;meta\nA-1;12,50 EUR;SENT;2026-11-30;\nA-2;7;;;[1]\nA-3;7;SENT;;\n"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Run:
    def run_it(*arguments: object, app: str = "shipments_app") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "afterwrite", "init-db", "--app", app, *map(str, arguments)],
            env=os.environ
            | {"DATA_DIR": str(database.folder), "PYTHONPATH": f"{ROOT}{os.pathsep}{SUPPORT}"}
            | database.environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_it


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shipments.csv"
    path.write_text(SHIPMENTS, encoding="utf-8")
    return path


def test_a_file_of_a_declared_resource_is_loaded_and_every_message_names_it(
    run: Run, database: Database, file: Path
) -> None:
    done = run(file, "--resource", "shipment_order")
    assert done.returncode == 0
    assert f"Loaded 2 shipment orders from {file}" in done.stdout
    assert done.stderr.splitlines()[:3] == [
        "note: Totals are in EUR. Only the amounts were kept",
        "refused: line 4: shipment order is refused: give the day on which it is due",
        "1 row was refused: --report FILE writes all to a file",
    ]
    assert database.rows("SELECT sku, note, state, total_minor, due_iso, extra_json FROM shipment_orders") == [
        ("A-1", "none", "SENT", 1250, "2026-11-30", None),
        ("A-2", "none", "OPEN", 700, None, "[1]"),
    ]
    again = run(file, "--resource", "shipment_order")
    assert again.returncode == 1
    assert "nothing of it is stored" in again.stderr  # the sku is unique
    assert database.rows("SELECT count(*) FROM shipment_orders") == [(2,)]


@pytest.mark.one_database("the name is looked up before a database is opened")
@pytest.mark.parametrize(
    "name", ["ShipmentOrder", "shipment_order", "SHIPMENT-ORDERS", "shipmentOrders", "Shipment_Order"]
)
def test_a_resource_is_named_in_any_spelling(run: Run, file: Path, name: str) -> None:
    done = run(file, "--resource", name, "--check")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.one_database("the name is looked up before a database is opened")
def test_a_wrong_or_missing_name_lists_the_resources_and_changes_nothing(
    run: Run, file: Path, database: Database
) -> None:
    told = {
        ("--resource", "shipment", str(file)): "'shipment' is not declared: give one of shipment_order, box",
        (str(file),): f"--resource is missing: say what {file} holds: shipment_order, box",
        ("--resource", "boxes"): "--resource boxes says what a file holds: give the file too",
    }
    for arguments, message in told.items():
        done = run(*arguments)
        assert done.returncode == 1
        assert f"init_db: {message}" in done.stderr.replace("--resource 'shipment'", "'shipment'")
    assert list(database.folder.iterdir()) == []


@pytest.mark.one_database("what is loaded where nothing is named does not depend on the database")
def test_without_a_name_a_file_is_of_the_product_or_of_the_only_resource(
    run: Run, database: Database, tmp_path: Path
) -> None:
    assert run().stdout.startswith("The schema ")  # no product, no file: there is nothing to load
    lamps = tmp_path / "lamps.jsonl"
    lamps.write_text('{"title": "Lamp", "price": 1}\n{"name": "Desk", "price": 2}\n')
    assert f"Loaded 2 products from {lamps}" in run(lamps, app="parcels_app").stdout
    assert "Loaded 1 parcel from" in run(lamps, "--resource", "parcels", app="parcels_app").stdout
    (tmp_path / "alone.py").write_text(
        "from afterwrite import Application, Resource, Text\n\n"
        "class Note(Resource):\n    title = Text(required=True)\n\n"
        "application = Application(resources=[Note])\nwsgi = application.wsgi\n"
    )
    assert "Loaded 1 note from" in run(lamps, app="alone").stdout
    assert database.rows("SELECT title FROM notes") == [("Lamp",)]


@pytest.mark.one_database("the example of docs/resources.md")
def test_the_example_loads_a_file_too(run: Run, database: Database, tmp_path: Path) -> None:
    file = tmp_path / "stock.jsonl"
    file.write_text('{"sku": "A-1", "warehouse": "North", "onHand": "1,200"}\n{"sku": "A-2", "warehouse": "North"}\n')
    done = run(file, "--resource", "stock", "--decimal", "point", app="examples.stock.app")
    assert f"Loaded 2 stocks from {file}" in done.stdout, done.stderr
    assert database.rows("SELECT sku, on_hand FROM stocks") == [("A-1", 1200), ("A-2", 0)]


@pytest.mark.one_database("a text")
def test_the_help_lists_the_columns_of_every_resource(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    for text in ("ShipmentOrder\n  sku ", "sku, article, item.sku", "is_gift, isGift: true or false", "Box\n  label"):
        assert text in done.stdout
    done = run("--help", app="missing")
    assert done.returncode == 0
    assert "there is no missing.py" in done.stdout
