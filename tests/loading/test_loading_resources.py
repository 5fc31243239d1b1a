"""Files of any declared resource are read by its declaration: aliases, value formats, defaults, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from declarations import resource
from declared import PRODUCT
from shipments_app import Box, ShipmentOrder

from afterwrite import Field, Integer, Number, Text
from afterwrite.jobs.feed_product import PRODUCT as FEED_PRODUCT
from afterwrite.loading import DecimalSign, Format, RecordFile, TextFileError, UnreadableRow
from afterwrite.loading.checked_rows import RefusedRow, checked_batches, row_check
from afterwrite.resources.feed_fields import FeedReader
from afterwrite.resources.feed_names import feed_names
from afterwrite.resources.feed_values import FeedValues
from afterwrite.resources.registry import compiled

SHIPMENT = compiled(ShipmentOrder)
BOX = compiled(Box)


def loaded(path: Path, content: str, decimal: DecimalSign | None = None) -> tuple[list[dict[str, Any]], list[str]]:
    """The stored form of every row, and what was ignored."""
    path.write_text(content, encoding="utf-8")
    with RecordFile(SHIPMENT, path, decimal) as source:
        batches = list(checked_batches(source, dict, row_check(SHIPMENT)))
        assert [row for batch in batches for row in batch.refused] == []
        return [record for batch in batches for record in batch.records], source.notes()


def refused(path: Path, content: str) -> list[RefusedRow]:
    path.write_text(content, encoding="utf-8")
    with RecordFile(SHIPMENT, path) as source:
        return [row for batch in checked_batches(source, dict, row_check(SHIPMENT)) for row in batch.refused]


def given(stored: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stored.items() if value is not None}


FULL = {
    "sku": "A-1",
    "note": "",
    "state": "SENT",
    "total_minor": 123450,
    "customs_minor": 1234,
    "weight": 0.25,
    "quality": 4.5,
    "pieces": 3,
    "is_gift": 1,
    "due_iso": "2026-11-30",
    "sent_at_us": 1796040000000000,
    "tracking": "https://x.org/1",
    "mail": "mia@example.org",
    "extra_json": '{"a":[1,null]}',
}


def test_csv_with_aliases_and_texts_of_spreadsheets_is_read(tmp_path: Path) -> None:
    rows, notes = loaded(
        tmp_path / "a.csv",
        "Article;Status;amount;Customs;weight_kg;Quality;quantity;isGift;due_date;sentAt;links[0];mail;meta;color\n"
        "A-1;SENT;1.234,50 EUR;1,234;0,25;4,5;3;Yes;2026-11-30;2026-11-30T12:00:00Z;"
        'https://x.org/1, https://x.org/2;mia@example.org;"{""a"":[1,null]}";red\n'
        "A-2;;7,5;N/A;-;n/a;;no;N/A;;;N/A;;\n",
    )
    assert rows[0] == FULL | {"note": "none"}
    assert given(rows[1]) == {
        "sku": "A-2",
        "note": "none",
        "state": "OPEN",
        "total_minor": 750,
        "pieces": 1,
        "is_gift": 0,
    }
    assert notes == ["Columns ignored: color", "Totals are in EUR. Only the amounts were kept"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize("wrapper", ["shipmentOrders", "shipment_orders", "items", None])
def test_json_with_aliases_and_members_of_objects_is_read(tmp_path: Path, name: str, wrapper: str | None) -> None:
    item: dict[str, Any] = {
        "item": {"sku": "A-1", "price": "1234.50", "size": 3},
        "note": "",
        "status": "SENT",
        "customs": "1.234",
        "weight": 0.25,
        "quality": "4.5",
        "quantity": 3.0,
        "isGift": "1",
        "due": "2026-11-30",
        "sentAt": "2026-11-30T13:00:00+01:00",
        "links": [{"href": "https://x.org/1"}],
        "mail": "mia@example.org",
        "meta": {"a": [1, None]},
    }
    if name == "a.json":
        content = json.dumps([item] if wrapper is None else {"page": 1, wrapper: [item]})
    else:
        content = json.dumps(item)
    rows, notes = loaded(tmp_path / name, content)
    assert rows == [FULL]
    assert notes == ["Columns ignored: item.size"]


def test_the_first_name_with_a_value_wins_and_others_that_differ_are_told(tmp_path: Path) -> None:
    item = {
        "sku": "",
        "article": "A-1",
        "item": {"sku": "A-2"},
        "total": 5,
        "amount": 5,
        "weight": "N/A",
        "weightKg": 1,
    }
    rows, notes = loaded(tmp_path / "a.jsonl", json.dumps(item | {"weight_kg": 2, "note": None}))
    assert (rows[0]["sku"], rows[0]["weight"], rows[0]["note"]) == ("A-1", 2.0, None)
    assert notes == ["Columns ignored: weightKg, item.sku"]


def test_a_default_stands_in_for_an_empty_cell_and_not_for_null_in_json(tmp_path: Path) -> None:
    rows, _ = loaded(tmp_path / "a.csv", "sku,total,note,pieces\nA-1,5,,N/A\n")
    assert (rows[0]["note"], rows[0]["pieces"]) == ("none", 1)
    rows, _ = loaded(tmp_path / "a.jsonl", '{"sku": "A-1", "total": 5, "note": null, "pieces": "N/A"}')
    assert (rows[0]["note"], rows[0]["pieces"]) == (None, 1)


def test_an_ambiguous_number_is_decided_for_every_field_of_a_file(tmp_path: Path) -> None:
    content = "sku;total;weight;pieces\nA-1;5;1.500;1.500\n"
    (tmp_path / "a.csv").write_text(content)
    with RecordFile(SHIPMENT, tmp_path / "a.csv") as source, pytest.raises(TextFileError, match="line 2: weight is '1"):
        list(source.rows())
    for sign, weight in ((DecimalSign.POINT, 1.5), (DecimalSign.COMMA, 1500.0)):
        rows, _ = loaded(tmp_path / "a.csv", content, sign)
        assert (rows[0]["weight"], rows[0]["pieces"]) == (weight, 1500)
    rows, _ = loaded(tmp_path / "a.csv", content + "A-2;5,25;;\n")
    assert rows[0]["weight"] == 1500.0


def test_each_refused_row_says_why(tmp_path: Path) -> None:
    rows = refused(
        tmp_path / "a.csv",
        "sku,total,state,is_gift,due,extra,pieces\n"
        "A-1,5 USD,LOST,perhaps,30.11.2026,{broken,1.5\n"
        ",N/A,SENT,,,,\n"
        "A-3,1,SENT,,,,\n",
    )
    assert [row.line for row in rows] == [2, 3, 4]
    told = {str(error["field"]): str(error["message"]) for error in rows[0].errors}
    assert told == {
        "state": "state is 'LOST': give one of OPEN, SENT",
        "total": "total is '5 USD': give an amount in EUR",
        "pieces": "pieces is '1.5': give a whole number",
        "is_gift": "is_gift is 'perhaps': give true or false",
        "due": "due is '30.11.2026': give a date such as 2026-11-30",
        "extra": "extra is '{broken': give JSON; a text stands in quotes",
    }
    assert [(error["field"], error["message"]) for error in rows[1].errors] == [
        ("sku", "sku is required and cannot be null"),
        ("total", "total is 'N/A': give a number"),
    ]
    assert rows[2].errors[0]["message"] == "shipment order is refused: give the day on which it is due"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "sku,price\nA-1,5\n", r"has no column total \(or amount, item.price\) in its first line 'sku,price'"),
        ("a.csv", "color\nred\n", r"no column sku \(or article, item.sku\) and total \(or amount, item.price\) in its"),
        ("a.csv", "", "is empty: give a header row and a row for each shipment order"),
        ("a.csv", "sku,total,item.sku\n", r"gives sku in 2 columns \(sku, item.sku\): keep one"),
        ("a.json", '{"products": []}', "no list of shipment orders was found: it may stand under shipmentOrders, ship"),
        ("a.json", "[1,]", "is not a JSON array of shipment orders: Expecting value at line 1, column 4"),
    ],
)
def test_a_file_that_is_not_of_the_resource_is_refused_whole(
    tmp_path: Path, name: str, content: str, told: str
) -> None:
    with pytest.raises(TextFileError, match=told):
        refused(tmp_path / name, content)


def test_a_resource_without_needed_fields_needs_one_known_column(tmp_path: Path) -> None:
    for content, rows in (("label\nA\n", [{"label": "A"}]), ("labels\nA\n", None)):
        (tmp_path / "a.csv").write_text(content)
        with RecordFile(BOX, tmp_path / "a.csv") as source:
            if rows is None:
                with pytest.raises(TextFileError, match="has no column label in its first line"):
                    list(source.rows())
            else:
                assert [row for _, row in source.rows()] == rows
    (tmp_path / "a.jsonl").write_text("7\n")
    with RecordFile(BOX, tmp_path / "a.jsonl") as source:
        assert list(source.rows()) == [(1, UnreadableRow("a number: give an object"))]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ('{"sku": "A", "total": 5, "items": []}', Format.JSONL),
        ('{"article": "A", "amount": 5, "items": []}', Format.JSONL),
        ('{"sku": "A", "items": []}', Format.JSON),
        ('{"shipment_orders": [{"sku": "A"}]}', Format.JSON),
    ],
)
def test_an_object_with_every_needed_field_is_a_record_and_no_wrapper(
    tmp_path: Path, content: str, wanted: Format
) -> None:
    (tmp_path / "a.json").write_text(content)
    with RecordFile(SHIPMENT, tmp_path / "a.json") as source:
        assert source.format is wanted


def test_a_new_field_is_read_without_another_line(tmp_path: Path) -> None:
    branded = compiled(resource("Thing", title=Text(required=True), brand=Text(aliases="maker"), top_speed=Integer()))
    for head in ("title,brand,top_speed", "title,Maker,topSpeed"):
        (tmp_path / "a.csv").write_text(f"{head}\nLamp,Halden,5\n")
        with RecordFile(branded, tmp_path / "a.csv") as source:
            assert list(source.rows()) == [(2, {"title": "Lamp", "brand": "Halden", "top_speed": 5})]


def test_very_many_shapes_of_objects_are_read_in_bounded_memory() -> None:
    declared = compiled(resource("Wide", **{f"f{number}": Integer() for number in range(12)}))
    reader = FeedReader(declared)
    for number in range(1, 1 << 12):
        item = {f"f{bit}": str(bit) for bit in range(12) if number >> bit & 1}
        found = reader.fields(item)
        assert {name: str(value) for name, value in found.items() if value is not None} == item
    assert len(reader._shapes) <= 1_000


def test_a_field_of_another_type_is_read_by_how_it_is_stored() -> None:
    class Pointer(Field):
        stored = int

    class Halves(Number):
        """A subclass is read as its base is."""

    values = FeedValues(None, None, "")
    pointer, halves = values.reader_of(Pointer()), values.reader_of(Halves(maximum=9))
    assert pointer is not None
    assert halves is not None
    assert [pointer(value) for value in ("12", 12.0, "N/A", "x", 7)] == [12, 12, None, "x", 7]
    assert halves("1,5") == 1.5


def test_the_help_has_every_name_and_the_form_of_the_values() -> None:
    told = feed_names(SHIPMENT).accepted()
    assert "sku       sku, article, item.sku\n" in told
    assert 'total, amount, item.price: a number, or a text such as "19.99", "1.234,50" or "15.00 EUR"' in told
    assert "is_gift, isGift: true or false, yes or no, 1 or 0" in told
    assert "state, status: OPEN or SENT" in told
    assert "links[0] in CSV" in told


def test_a_job_reads_a_product_by_the_names_of_the_declared_one() -> None:
    assert feed_names(FEED_PRODUCT).paths == feed_names(PRODUCT).paths
    assert FEED_PRODUCT.recorded["fields"] == PRODUCT.recorded["fields"]
