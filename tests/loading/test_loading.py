"""Rows are checked by the rules of the API, a batch at a time, in the order of the file."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from declared import PRODUCT, RESOURCES
from hypothesis import example, given
from hypothesis import strategies as st

from afterwrite.loading import RecordFile
from afterwrite.loading.checked_rows import checked_batches
from afterwrite.loading.load import LoadFailed, RefusedRows, load_records
from afterwrite.resources import text_fields
from afterwrite.storage.sqlite.bulk import bulk_load, open_for_loading
from afterwrite.storage.sqlite.data_folder import open_data_folder

TEXTS = st.text(max_size=12) | st.sampled_from(["", " ", "\t", "\x00", "a\x1fb", "\ud800", "x" * 301, "é" * 10_001])
URLS = st.sampled_from(
    [
        "http://",
        "https://x.org",
        "https://x.org/a b",
        "https://x.org/\u00e9",
        "https://-",
        "https://.",
        "https:///a",
        "https://:80/a",
        "https://x.org:80/a",
        "https://u@x.org/a",
        "https://x.org?a=/b",
        "https://x_y/a",
        "https://[::1]/",
        "https://[",
        "ftp://x.org/a",
        "/static/pictures/a.svg",
        "https://x.org/" + "a" * 2_000,
        "https://x.org/\x7f",
        "HTTPS://x.org/a",
    ]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([-0.0, 0.07, 19.99, 1e11, 1e11 + 0.01, 5.0, 2**31, True])
VALUES = st.none() | TEXTS | NUMBERS | st.lists(st.none(), max_size=1)
FIELDS = st.fixed_dictionaries(
    {"title": VALUES | st.just("Lamp"), "price": VALUES | st.integers(0, 10**13).map(lambda minor: minor / 100)},
    optional={
        "description": VALUES,
        "category": VALUES,
        "image": VALUES | URLS,
        "rating_rate": VALUES | st.floats(0, 5),
        "rating_count": VALUES | st.integers(0, 2**31),
    },
)


@given(FIELDS)
@example({"title": "Lamp", "price": 5.5, "image": "https://x.org/a", "rating_rate": 4.5, "rating_count": 3})
def test_the_short_way_to_check_a_usual_product_decides_like_the_long_one(values: dict[str, Any]) -> None:
    short, refused_short = PRODUCT.check_new(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_fields, "is_plain_url", lambda _: False)
        long, refused_long = PRODUCT.check_one_by_one(values)
    assert short == long
    assert [type(value) for value in short.values()] == [type(long[name]) for name in short]
    assert [(error.field, error.problem, str(error)) for error in refused_short] == [
        (error.field, error.problem, str(error)) for error in refused_long
    ]


def write_lines(path: Path, rows: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            price = -1 if number % 1_000 == 7 else 1.5
            file.write(json.dumps({"title": f"Lamp {number}", "price": price, "description": "ü" * 60}) + "\n")
    return path


def test_batches_keep_the_order_of_the_file(tmp_path: Path) -> None:
    with RecordFile(PRODUCT, write_lines(tmp_path / "a.jsonl", 3_500)) as source:
        batches = list(checked_batches(source, PRODUCT.stored_values, PRODUCT.check_new))
    assert len(batches) == 7
    products = [row[0] for batch in batches for row in batch.records]
    assert products == [f"Lamp {number}" for number in range(3_500) if number % 1_000 != 7]
    assert [row.line for batch in batches for row in batch.refused] == [8, 1_008, 2_008, 3_008]


def test_a_full_disk_stores_nothing_and_says_so(tmp_path: Path) -> None:
    open_data_folder(tmp_path / "products.db", tmp_path / "journal.db", RESOURCES).close()
    connection = open_for_loading(tmp_path / "products.db")
    indexes = index_names(connection)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 500}")
    with (
        RecordFile(PRODUCT, write_lines(tmp_path / "a.jsonl", 20_000)) as source,
        pytest.raises(LoadFailed, match=r"full: free space .* stopped after \d+,\d+ rows; nothing of it is stored"),
    ):
        load_records(
            bulk_load(connection, PRODUCT, 1),
            checked_batches(source, PRODUCT.stored_values, PRODUCT.check_new),
            RefusedRows("product"),
        )
    assert connection.execute("SELECT count(*) FROM products").fetchone() == (0,)
    assert index_names(connection) == indexes
    connection.close()


def index_names(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")}


def test_a_row_is_checked_as_the_api_checks_it() -> None:
    assert [error.field for error in PRODUCT.check_new({"title": "", "price": 1.234})[1]] == ["title", "price"]
