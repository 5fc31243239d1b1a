"""What our export writes, our loader reads back as it was; other people's files are read as they stand."""

import csv
import io
import tempfile
from pathlib import Path
from typing import Any

import pytest
from declared import PRODUCT
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from afterwrite.console.exports import csv_of
from afterwrite.loading import RecordFile
from afterwrite.loading.spreadsheet_cells import export_format, exported, harmless, trimmed

# Texts that a product may have, with what is of meaning in a CSV file more often than chance would have it.
PIECES = st.sampled_from(["'", "=", "+", "-", "@", "\t", "\r", "\n", "\r\n", ";", ",", '"', " ", "{", "[", "\uff1d"])
TEXTS = st.lists(PIECES | st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).map("".join)


@given(TEXTS)
@example("=SUM(A1)")
@example("'=SUM(A1)")
@example("''=1")
@example("a;'=1\t=2")
def test_what_is_made_harmless_is_undone_exactly(text: str) -> None:
    assert exported(harmless(text)) == text


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, TEXTS, TEXTS)
@example("'=SUM(A1)", "=1", " @home ")
@example("\r\r\r\r\r\r\r\r\r", "\r", "\n")
@example('"', '{"name": "x"}', '["a"]')
def test_an_export_is_loaded_as_it_was(title: str, description: str, category: str) -> None:
    given_fields = {"title": title, "price": 1.5, "description": description or None, "category": category or None}
    stored, refused = PRODUCT.check_new(given_fields)
    if refused:
        return
    product = PRODUCT.record(id=1, created_at_us=0, updated_at_us=0, version=1, **stored)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "products.csv"
        path.write_bytes("".join(csv_of(iter([[product]]), export_format(PRODUCT))).encode())
        with RecordFile(PRODUCT, path) as source:
            [(_, row)] = source.rows()
    assert isinstance(row, dict)
    assert PRODUCT.check_new(row) == (stored, [])


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("'=SUM(A1)", "=SUM(A1)"),
        ("'-5 degrees", "-5 degrees"),
        ("'70s lamp", "'70s lamp"),
        ("''twas", "''twas"),
        ("a;'=1", "a;'=1"),
        (" 'quoted' ", "'quoted'"),
    ],
)
def test_only_the_mark_before_a_formula_is_taken_from_files_of_others(cell: str, text: str) -> None:
    assert trimmed(cell) == text


def test_the_head_of_an_export_says_that_it_is_one(tmp_path: Path) -> None:
    names = export_format(PRODUCT).names
    lines: list[list[Any]] = [list(names), [1, " Lamp ", 5, None, "''x", None, None, None, "", "", 1]]
    for heads, wanted in ((names, (" Lamp ", "'x")), ((*names[:-1], "other"), ("Lamp", "''x"))):
        text = io.StringIO()
        csv.writer(text).writerows([heads, lines[1]])
        (tmp_path / "a.csv").write_text(text.getvalue(), newline="")
        with RecordFile(PRODUCT, tmp_path / "a.csv") as source:
            [(_, row)] = source.rows()
        assert isinstance(row, dict)
        assert (row["title"], row["category"]) == wanted
