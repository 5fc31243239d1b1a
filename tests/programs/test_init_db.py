"""init_db.py loads the sample catalogue or a file: all good rows together, and says what it refused."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from databases import Database
from declared import PRODUCT
from server_process import ROOT, ServerProcess

from afterwrite.loading import SAMPLE_PRODUCTS, RecordFile
from afterwrite.loading.checked_rows import check_sample_row, checked_batches
from afterwrite.programs import init_db
from afterwrite.resources.write import Operation, Write
from afterwrite.storage.records import Records
from afterwrite.storage.sqlite.journal import Journal
from afterwrite.storage.stores import open_for_reading

DUMMYJSON = ROOT.parent / "shared" / "data" / "dummyjson-products.json"
SAMPLES = json.loads(SAMPLE_PRODUCTS.read_text(encoding="utf-8"))
SECONDS = 60

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(database: Database) -> Run:
    def run_it(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command(*arguments), env=environment(database), capture_output=True, text=True, timeout=SECONDS, check=False
        )

    return run_it


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "init_db.py"), *map(str, arguments)]


def environment(database: Database) -> dict[str, str]:
    return os.environ | {"DATA_DIR": str(database.folder)} | database.environment


def count(database: Database) -> int:
    return int(database.rows("SELECT count(*) FROM products")[0][0])


def search(database: Database, term: str) -> list[str]:
    engine = open_for_reading(database.settings())
    try:
        return [product.title for product in Records(engine, PRODUCT).page(term, 100, 0)]
    finally:
        engine.dispose()


def write_lines(path: Path, *items: object) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return path


def lamps(amount: int) -> list[dict[str, Any]]:
    return [{"title": f"Lamp {number}", "price": 1.5, "category": "Lights"} for number in range(amount)]


def test_the_schema_alone_is_made_without_a_product_as_often_as_one_likes(run: Run, database: Database) -> None:
    for _ in range(2):
        done = run("--schema-only")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("The schema ")
        assert count(database) == 0


def test_the_schema_alone_and_a_file_do_not_go_together(run: Run, tmp_path: Path) -> None:
    done = run("--schema-only", write_lines(tmp_path / "a.jsonl", *lamps(1)))
    assert done.returncode == 2
    assert "not allowed with argument" in done.stderr


def test_a_fresh_folder_gets_the_schema_and_the_sample_catalogue(run: Run, database: Database) -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Loaded {len(SAMPLES)} products" in done.stdout
    assert database.rows("SELECT min(id), max(id), count(*) FROM products") == [(1, len(SAMPLES), len(SAMPLES))]
    assert len([title for title in search(database, "LAPTOP") if "Laptop" in title]) >= 2
    created, updated, version = database.rows("SELECT created_at_us, updated_at_us, version FROM products")[0]
    assert created == updated > 1_600_000_000_000_000
    assert version == 1


def test_what_is_not_read_is_told_once_and_a_decimal_sign_can_be_named(
    run: Run, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("title;price;sku\nLamp;1.500 EUR;1\nDesk;12 EUR;2\n;;\n", encoding="utf-8")
    for options in ([], ["--check"]):
        done = run(*options, file)
        assert done.returncode == 1
        assert f"init_db: {file}, line 2: price is '1.500 EUR', which is 1500 or 1.500, and" in done.stderr
        assert "say which it is: --decimal point or --decimal comma" in done.stderr
    assert run("--check", "--decimal", "comma", file).returncode == 0
    assert count(database) == 0
    done = run("--decimal", "comma", file)
    assert done.stderr.splitlines() == [
        "note: Columns ignored: sku",
        "note: Prices are in EUR. Only the amounts were kept",
    ]
    assert database.rows("SELECT title, price_minor FROM products ORDER BY id") == [("Lamp", 150_000), ("Desk", 1_200)]


def test_one_product_is_told_as_one(run: Run, tmp_path: Path) -> None:
    done = run(write_lines(tmp_path / "a.jsonl", *lamps(1), {"title": "Desk"}))
    assert "Loaded 1 product from" in done.stdout
    assert "1 row was refused: " in done.stderr
    assert "Load only the corrected rows: the whole file would add the others again" in done.stderr


def test_a_second_run_loads_nothing(run: Run, database: Database) -> None:
    run()
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "has products already: nothing to load" in done.stdout
    assert count(database) == len(SAMPLES)


def test_every_sample_obeys_the_rules_of_the_api() -> None:
    with RecordFile(PRODUCT, SAMPLE_PRODUCTS) as source:
        batches = list(checked_batches(source, PRODUCT.stored_values, partial(check_sample_row, PRODUCT.check_new)))
    assert [row for batch in batches for row in batch.refused] == []
    assert len({item["category"] for item in SAMPLES}) >= 5


def test_every_sample_has_a_picture_that_the_project_serves() -> None:
    named = {item["image"] for item in SAMPLES}
    pictures = {f"/static/pictures/{path.name}" for path in (ROOT / "afterwrite" / "static" / "pictures").iterdir()}
    assert named == pictures
    for name in pictures:
        text = (ROOT / "afterwrite" / name.lstrip("/")).read_text(encoding="utf-8")
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(text).iter()}
        assert tags <= {"svg", "title", "g", "rect", "circle", "ellipse", "path"}, name
        assert "href" not in text, name


def test_a_file_may_not_name_the_pictures_of_the_project(run: Run, tmp_path: Path) -> None:
    done = run(
        write_lines(tmp_path / "a.jsonl", {"title": "Lamp", "price": 1, "image": "/static/pictures/arc-lamp.svg"})
    )
    assert done.returncode == 1
    assert "refused: line 1: image is '/static/pictures/arc-lamp.svg': give an absolute URL" in done.stderr


def test_each_run_adds_the_products_of_the_file(run: Run, database: Database, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", *lamps(3))
    assert [run(file).returncode for _ in range(2)] == [0, 0]
    assert database.rows("SELECT id, title FROM products ORDER BY id") == [
        (number + 1, f"Lamp {number % 3}") for number in range(6)
    ]


@pytest.mark.one_database("ids follow from the tables of the files")
def test_no_id_is_given_twice_even_when_its_product_is_deleted_or_waits(
    run: Run, database: Database, tmp_path: Path
) -> None:
    run()
    file = write_lines(tmp_path / "a.jsonl", *lamps(1))
    database.rows(
        "INSERT INTO ledger VALUES (1, 'DELETE', 50, '{}', 1, NULL, 'APPLIED', NULL, NULL, 1, NULL, 'Product', NULL)"
    )
    run(file)
    with contextlib.closing(Journal.open(database.folder / "journal.db")) as journal:
        journal.append([Write(2, "Product", Operation.CREATE, 70, "{}", 1)], [], 0)
    run(file)
    assert database.rows("SELECT id FROM products ORDER BY id DESC LIMIT 2") == [(71,), (51,)]


def test_refused_rows_are_reported_and_the_others_loaded(run: Run, database: Database, tmp_path: Path) -> None:
    bad = [{"title": "", "price": number} for number in range(24)]
    file = write_lines(tmp_path / "a.jsonl", *lamps(2), *bad, {"title": "Desk", "price": 1.234, "rating": 6})
    done = run(file, "--report", tmp_path / "report.jsonl")
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert lines[0] == "refused: line 3: title is empty: give a text of 1 to 300 characters"
    assert len(lines) == 22
    assert lines[-2] == f"25 rows were refused, 5 more than shown: all are in {tmp_path / 'report.jsonl'}"
    report = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert [row["line"] for row in report] == list(range(3, 28))
    assert [(error["field"], error["code"]) for error in report[-1]["errors"]] == [
        ("price", "TOO_MANY_DECIMALS"),
        ("rating_rate", "OUT_OF_RANGE"),
    ]
    assert count(database) == 2


def test_a_refused_element_is_named_by_index_and_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('[{"title": "Lamp", "price": 1},\n{"title": "Desk"},\n[]]', encoding="utf-8")
    done = run(file)
    assert done.returncode == 0
    assert "refused: product 2 (line 2): price is required" in done.stderr
    assert "refused: product 3 (line 3): an array: give an object" in done.stderr


def test_a_file_of_which_every_row_is_refused_ends_with_1(run: Run, database: Database, tmp_path: Path) -> None:
    assert run(write_lines(tmp_path / "a.jsonl", {}, {})).returncode == 1
    assert count(database) == 0


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", "[]", "products in the file"),
        ("a.jsonl", "", "products in the file"),
        ("a.csv", "title,price\n", "rows below the header"),
    ],
)
def test_a_file_without_products_is_nothing_to_do(run: Run, tmp_path: Path, name: str, content: str, told: str) -> None:
    (tmp_path / name).write_text(content)
    done = run(tmp_path / name)
    assert (done.returncode, done.stderr) == (0, f"note: There are no {told}\n")


def test_a_missing_file_is_named_and_nothing_is_made(run: Run, database: Database, tmp_path: Path) -> None:
    done = run(tmp_path / "missing.json")
    assert done.returncode == 1
    assert done.stderr.startswith(f"init_db: {tmp_path / 'missing.json'} cannot be opened")
    assert list(database.folder.iterdir()) == []


def test_a_syntax_error_in_an_array_leaves_the_catalogue_as_it_was(
    run: Run, database: Database, tmp_path: Path
) -> None:
    run()
    file = tmp_path / "a.json"
    file.write_text(json.dumps(lamps(20_000))[:-1] + ",", encoding="utf-8")
    done = run(file)
    assert done.returncode == 1
    assert "Expecting value at line 1" in done.stderr
    assert "stopped after 20,000 rows; nothing of it is stored" in done.stderr
    assert count(database) == len(SAMPLES)


def test_the_report_cannot_overwrite_the_file(run: Run, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", *lamps(1))
    done = run(file, "--report", file)
    assert done.returncode == 1
    assert "is the file to load" in done.stderr
    assert file.stat().st_size > 0


@pytest.mark.one_database("one process has a folder; PostgreSQL is loaded beside servers")
def test_the_load_waits_for_no_server_and_says_so(run: Run, database: Database, tmp_path: Path) -> None:
    run()
    with contextlib.closing(Journal.open(database.folder / "journal.db")):
        done = run(write_lines(tmp_path / "a.jsonl", *lamps(1)))
    assert done.returncode == 1
    assert "owns the data folder" in done.stderr
    assert count(database) == len(SAMPLES)


def test_a_setting_that_cannot_be_used_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "many")
    done = run()
    assert done.returncode == 1
    assert "PORT='many'" in done.stderr


def test_a_large_load_can_be_searched_at_once(run: Run, database: Database, tmp_path: Path) -> None:
    run()
    indexes = database.indexes()
    assert run(write_lines(tmp_path / "a.jsonl", *lamps(12_000))).returncode == 0
    assert (database.indexes(), count(database)) == (indexes, len(SAMPLES) + 12_000)
    assert search(database, "lamp 11999") == ["Lamp 11999"]


@pytest.mark.one_database("a search index of its own")
def test_a_large_load_keeps_the_indexes_and_can_be_searched_at_once(
    run: Run, database: Database, tmp_path: Path
) -> None:
    run()
    indexes = database.indexes()
    assert run("--index-later", write_lines(tmp_path / "a.jsonl", *lamps(12_000))).returncode == 0
    assert database.indexes() == indexes
    database.check_integrity()
    database.check_mode()
    assert database.rows("SELECT indexed_through FROM products_search_state") == [(len(SAMPLES),)]
    assert search(database, "lamp 11999") == ["Lamp 11999"]
    assert run(write_lines(tmp_path / "b.jsonl", *lamps(1))).stdout.endswith("\n")
    assert database.rows("SELECT indexed_through FROM products_search_state") == [(len(SAMPLES) + 12_001,)]
    assert search(database, "lamp 11999") == ["Lamp 11999"]


def test_loaded_products_are_served(run: Run, make_server: Callable[..., ServerProcess]) -> None:
    run()
    server = make_server().start()
    found = server.query('{ allProducts(search: "laptop", first: 10) { id title image } product(productId: 1) { id } }')
    assert found["product"] == {"id": "1"}
    assert len(found["allProducts"]) >= 2
    image = found["allProducts"][0]["image"]
    assert image.startswith(f"{server.url}/static/pictures/")
    status, picture = server.get(image.removeprefix(server.url))
    assert (status, picture[:4]) == (200, b"<svg")


@pytest.mark.one_database("one process has a folder; PostgreSQL is loaded beside servers")
def test_a_running_server_keeps_its_folder(run: Run, server: ServerProcess) -> None:
    assert "owns the data folder" in run().stderr
    assert server.ready()


class EndlessLoad:
    """init_db.py in the middle of a load of a file that never ends."""

    _LINE = json.dumps({"title": "Lamp", "price": 1.5, "description": "x" * 900}) + "\n"

    def __init__(self, folder: Path, database: Database) -> None:
        os.mkfifo(folder / "endless.jsonl")
        self.process = subprocess.Popen(
            command(folder / "endless.jsonl"), env=environment(database), stderr=subprocess.PIPE, text=True
        )
        self._pipe = (folder / "endless.jsonl").open("wb", buffering=0)
        self._pipe.write(self._LINE.encode() * 20_000)  # returns when all was read but what fits in the pipe

    def end(self, number: signal.Signals) -> str:
        """Send a signal and go on writing until it ends; returns what it wrote to standard error."""
        self.process.send_signal(number)
        with contextlib.suppress(BrokenPipeError):
            while True:
                self._pipe.write(self._LINE.encode())
        self._pipe.close()
        return self.process.communicate(timeout=SECONDS)[1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_killed_load_leaves_the_catalogue_as_it_was(run: Run, database: Database, tmp_path: Path) -> None:
    run()
    indexes = database.indexes()
    EndlessLoad(tmp_path, database).end(signal.SIGKILL)
    assert database.indexes() == indexes
    assert count(database) == len(SAMPLES)
    database.check_integrity()
    assert run(write_lines(tmp_path / "a.jsonl", *lamps(1))).returncode == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_an_interrupted_load_leaves_the_catalogue_as_it_was(run: Run, database: Database, tmp_path: Path) -> None:
    run()
    load = EndlessLoad(tmp_path, database)
    errors = load.end(signal.SIGINT)
    assert load.process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert count(database) == len(SAMPLES)
    database.check_mode()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_progress_bar_and_a_file_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init_db, "_BAR_SECONDS", 1e-9)
    terminal, file = Terminal(), io.StringIO()
    with RecordFile(PRODUCT, write_lines(tmp_path / "a.jsonl", *lamps(10))) as source:
        for stream in (terminal, file):
            bar = init_db.ProgressBar(source, PRODUCT, stream)
            bar.show(1_234)
            bar.clear()
    assert "[##############################] 100% 1,234 products" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert file.getvalue() == ""


def test_the_help_names_the_fields_of_feeds(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in ("thumbnail", "images[0]", "ratingCount", "rating_rate", "name", "image_link", "product_type"):
        assert name in done.stdout


@pytest.mark.skipif(not DUMMYJSON.exists(), reason=f"{DUMMYJSON} is not here: it is not part of the project")
def test_the_products_of_a_public_api_load_whole(run: Run, database: Database) -> None:
    done = run(DUMMYJSON)
    assert done.returncode == 0
    assert re.fullmatch(r"note: Columns ignored: id, discountPercentage, .*\n", done.stderr)
    assert count(database) == len(json.loads(DUMMYJSON.read_text(encoding="utf-8"))) == 194
    null = database.rows("SELECT count(*) FROM products WHERE image IS NULL OR rating_rate IS NULL OR category IS NULL")
    assert null == [(0,)]
    assert "iPhone 13 Pro" in search(database, "iphone")
