"""What is read and checked by column is what reading and checking row by row gives, in every format."""

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from declared import PRODUCT

from afterwrite import (
    Boolean,
    Choice,
    Date,
    DateTime,
    Email,
    Integer,
    Json,
    Money,
    Number,
    Rejected,
    Resource,
    Text,
    Url,
)
from afterwrite.loading import RecordFile, TextFileError
from afterwrite.loading.checked_rows import RefusedRow, checked_batches, row_check, stored_batches
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.feed_columns import FeedColumns
from afterwrite.resources.feed_fields import FeedReader

Result = tuple[list[Any], list[RefusedRow], list[str], str]
USUAL = {
    "title": "Lamp",
    "price": 19.99,
    "description": "A warm lamp",
    "category": "Home",
    "image": "https://example.org/a.jpg",
    "rating": {"rate": 4.5, "count": 7},
}
LINE = json.dumps(USUAL)


class Parcel(Resource):
    """A parcel, with a field of every other type."""

    code = Text(required=True, max_length=20, aliases=("name", "label.code"))
    weight = Number(required=True, default=1.5)
    state = Choice("OPEN", "SENT", default="OPEN")
    is_gift = Boolean()
    day = Date()
    at = DateTime()
    mail = Email()
    extra = Json()
    pieces = Integer(minimum=1)
    cost = Money(decimals=3)

    def check(self) -> None:
        """Gifts are light."""
        if self.is_gift and self.weight > 5:
            raise Rejected("TOO_HEAVY", "it is too heavy for a gift")


class Percent(Number):
    """A field type of an application, which changes what is valid and nothing else."""

    def check(self, name: str, value: Any) -> float:
        return super().check(name, value) * 100


class Rebate(Resource):
    """A rebate."""

    share = Percent(required=True, minimum=0, maximum=1)
    page = Url()


PROBLEMS: list[str] = []
PARCEL, REBATE = CompiledResource(Parcel, PROBLEMS), CompiledResource(Rebate, PROBLEMS)


def by_row(resource: CompiledResource, path: Path) -> Result:
    return result(path, resource, lambda source: checked_batches(source, resource.stored_values, row_check(resource)))


def by_column(resource: CompiledResource, path: Path) -> Result:
    return result(path, resource, lambda source: stored_batches(source, row_check(resource)))


def result(path: Path, resource: CompiledResource, batches: Callable[[RecordFile], Any]) -> Result:
    records, refused, error = [], [], ""
    with RecordFile(resource, path) as source:
        try:
            for batch in batches(source):
                records += [[(type(value), repr(value)) for value in record] for record in batch.records]
                refused += batch.refused
        except TextFileError as stopped:
            records, refused, error = [], [], str(stopped)  # nothing of it is loaded
        return records, refused, source.notes(), error


def agree(resource: CompiledResource, path: Path, text: str) -> Result:
    path.write_text(text, encoding="utf-8", newline="")
    expected = by_row(resource, path)
    assert by_column(resource, path) == expected
    return expected


ODD_LINES = [
    "",
    "   ",
    "\u00a0" + LINE,
    "  " + LINE + "\t",
    LINE + " x",
    LINE[:-1],
    LINE + LINE,
    f"[{LINE}]",
    "null",
    "17",
    '"Lamp"',
    "{}",
    '{"title": "a", "price": NaN}',
    '{"title": "a", "price": -Infinity}',
    '{"title": "a", "price": 1e400}',
    '{"title": "a", "price": 1e-400}',
    '{"title": "a", "price": 0.0}',
    '{"title": "a", "price": -0.0, "rating": 0.0}',
    '{"title": "a", "price": 0, "rating": 1e-400}',
    '{"title": "a", "price": 0.' + "0" * 400 + "1}",
    '{"title": "a", "price": 18446744073709551616}',
    '{"title": "a", "price": 123456789012345678901234567890}',
    '{"title": "a", "price": 1, "rating_count": 9223372036854775808}',
    '{"title": "a", "price": 1, "rating_count": 3.0}',
    '{"title": "a", "price": 1, "rating_count": 3.5}',
    '{"title": "a", "price": 1, "rating_count": true}',
    '{"title": "a", "price": true}',
    '{"title": "a", "price": 1.005}',
    '{"title": "a", "price": 100000000000}',
    '{"title": "a", "price": 100000000000.01}',
    '{"title": "a", "price": -1}',
    '{"title": "a", "price": 5, "price": 6}',
    '{"title": "a", "price": 5, "rating": {"rate": 1.5, "rate": 2.5}}',
    '{"title": "a", "price": 5, "other": {"x": 1, "x": 2}}',
    '{"title": "a\\"b\\"", "price": 5}',
    '{"title": "a\\\\", "price": 5}',
    '{"title": "a\\\\\\"", "price": 5, "price": 6}',
    '{"title": "\\ud800", "price": 5}',
    '{"title": "\\u0000", "price": 5}',
    '{"title": "a\\u007fb", "price": 5}',
    '{"title": "a\x7fb", "price": 5}',
    '{"title": "a\\tb\\nc", "price": 5, "description": "two\\nlines"}',
    '{"title": "a\tb", "price": 5}',
    '{"title": "Stra\u00dfe e\u0301 \\u00e9", "price": 5.5}',
    '{"title": "\u3000", "price": 5}',
    '{"title": "  ", "price": 5}',
    '{"title": "", "price": 5}',
    '{"title": "' + "x" * 300 + '", "price": 5}',
    '{"title": "' + "x" * 301 + '", "price": 5}',
    '{"title": null, "price": 5}',
    '{"price": 5}',
    '{"title": "a", "price": "19.99"}',
    '{"title": "a", "price": "1999"}',
    '{"title": "a", "price": "12345678901234567.5"}',
    '{"title": "a", "price": "15.00 EUR"}',
    '{"title": "a", "price": "12,50"}',
    '{"title": "a", "price": "N/A"}',
    '{"title": "a", "price": 5, "rating": "4.5", "rating_count": "12"}',
    '{"title": "a", "price": 5, "rating": null}',
    '{"title": "a", "price": 5, "rating": {}}',
    '{"title": "a", "price": 5, "rating": {"rate": null, "count": "7", "stars": 5}}',
    '{"title": "a", "price": 5, "rating": {"rate": 6}}',
    '{"title": "a", "price": 5, "rating": [1]}',
    '{"title": "a", "name": "b", "price": 5}',
    '{"name": "b", "price": 5, "sku": 1, "tags": ["x", "y"]}',
    '{"title": "a", "price": 5, "category": {"name": "Home", "id": 4}}',
    '{"title": "a", "price": 5, "category": {"id": 4}}',
    '{"title": "a", "price": 5, "category": "N/A"}',
    '{"title": "a", "price": 5, "category": ["Home"]}',
    '{"title": "a", "price": 5, "images": ["https://e.org/1", "https://e.org/2"]}',
    '{"title": "a", "price": 5, "image": {"src": "https://e.org/1"}}',
    '{"title": "a", "price": 5, "image": " https://e.org/1 "}',
    '{"title": "a", "price": 5, "image": "https://e.org/1,https://e.org/2"}',
    '{"title": "a", "price": 5, "image": "https://e.org/?u=https://f.org/"}',
    '{"title": "a", "price": 5, "image": "https://e_x.org/"}',
    '{"title": "a", "price": 5, "image": "ftp://e.org/"}',
    '{"title": "a", "price": 5, "image": "https://e.org?a=/b"}',
    '{"title": "a", "price": 5, "image": ""}',
    '{"title": "a", "price": 5, "deep": ' + "[" * 150 + "]" * 150 + "}",
    '{"title": "a", "price": 5, "deep": ' + "[" * 1_010 + "]" * 1_010 + "}",
    '{"title": "a", "price": 5, "deep": ' + "[" * 5_000 + "]" * 5_000 + "}",
    json.dumps({"id": 3, **dict.fromkeys(PRODUCT.fields), "title": "N/A", "price": 5.0, "updated_at": "x"}),
    json.dumps(
        {"id": 3, "title": "a", "price": "5", "created_at": "x", "updated_at": "x", "version": 1}  # an older export
    ),
]
ODD_PARCELS = [
    '{"code": "a"}',
    '{"code": "a", "weight": null}',
    '{"code": "a", "weight": 2, "cost": 1.125}',
    '{"code": "a", "weight": "2,5", "cost": "1.125"}',
    '{"code": "a", "weight": 1e-400}',
    '{"code": "a", "weight": 98765432109876543210}',
    '{"code": "a", "state": "SENT", "is_gift": true, "pieces": 3}',
    '{"code": "a", "state": "LOST", "is_gift": "yes", "pieces": "N/A"}',
    '{"code": "a", "is_gift": true, "weight": 6.5}',
    '{"code": "a", "day": "2026-11-30", "at": "2026-11-30T12:00:00Z", "mail": "mia@example.org"}',
    '{"code": "a", "day": "30.11.2026", "at": "2026-11-30T12:00:00", "mail": "mia"}',
    '{"code": "a", "day": "n/a", "at": "none", "mail": "-"}',
    '{"code": "a", "extra": {"x": [1, 2.5, "\u00e9", null]}}',
    '{"code": "a", "extra": [1e-400, 123456789012345678901234567890, 1e-7]}',
    '{"code": "a", "extra": 0.0}',
    '{"code": "a", "extra": {"x": 1, "x": 2}}',
    '{"code": "a", "extra": "text"}',
    '{"label": {"code": "b", "color": "red"}, "name": null}',
    '{"label": {"code": "b"}}',
    '{"code": "N/A"}',
]


@pytest.mark.parametrize("line", ODD_LINES)
def test_an_odd_line_among_usual_ones_is_read_as_alone(tmp_path: Path, line: str) -> None:
    for text in (f"{LINE}\n{line}\n{LINE}\n", f"{line}\n" * 3, line):
        agree(PRODUCT, tmp_path / "a.jsonl", text)
        agree(PRODUCT, tmp_path / "a.json", "[" + text.strip("\n").replace("\n", ",\n") + "]")


@pytest.mark.parametrize("line", ODD_PARCELS)
def test_fields_of_every_type_are_read_as_alone(tmp_path: Path, line: str) -> None:
    usual = '{"code": "usual", "weight": 2.5, "extra": {"a": "b"}}'
    for text in (f"{usual}\n{line}\n{usual}\n", f"{line}\n" * 3):
        agree(PARCEL, tmp_path / "a.jsonl", text)
        agree(PARCEL, tmp_path / "a.json", "[" + text.strip("\n").replace("\n", ",\n") + "]")


@pytest.mark.parametrize("seed", range(8))
def test_a_mixture_of_odd_lines_is_read_as_row_by_row(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    lines = [chance.choice(ODD_LINES) if chance.random() < 0.05 * seed else LINE for _ in range(3_000)]
    _, refused, notes, _ = agree(PRODUCT, tmp_path / "a.jsonl", "\n".join(lines))
    assert bool(refused) is bool(notes) is bool(seed)
    indent = chance.choice([None, 2])
    readable = [json.dumps(json.loads(line), indent=indent) for line in lines if is_json(line)]
    agree(PRODUCT, tmp_path / "a.json", f'{{"products": [{", ".join(readable)}], "total": 3}}')


def is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return "nan" not in line.lower() and "inf" not in line.lower() and "1e400" not in line


CELLS = [
    "",
    " ",
    "Lamp",
    " Lamp ",
    "'=1",
    "two\r\nlines",
    "tab\there",
    "\u00e9",
    "N/A",
    "5",
    "05",
    "0",
    "0.00",
    "19.99",
]
CELLS += [
    "1,234",
    "1.234,50",
    "12,5",
    "-3",
    "1e3",
    "4.5",
    "99999999999999999999",
    "15.00 EUR",
    "true",
    "[1]",
    '{"a": 1}',
]
CELLS += ["https://e.org/1", "https://e.org/1 https://e.org/2", '{"src": "https://e.org/3"}', "[", "2026-11-30", "\x7f"]


@pytest.mark.parametrize("seed", range(12))
def test_cells_are_read_as_row_by_row(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for resource in (PRODUCT, PARCEL, REBATE):
        heads = [*resource.fields, "unknown"]
        if resource is PRODUCT:
            heads[4:5] = ["images"]
        usual = ["5" for _ in heads]
        text = io.StringIO()
        table = csv.writer(text, delimiter=chance.choice(",;\t"), lineterminator=chance.choice(["\n", "\r\n"]))
        table.writerow(heads)
        for _ in range(1_200):
            row = [chance.choice(CELLS) if chance.random() < 0.01 * seed else cell for cell in usual]
            table.writerow(row[: -1 if chance.random() < 0.001 * seed else None])
        agree(resource, tmp_path / "a.csv", text.getvalue())


def test_a_doubtful_number_before_a_fault_of_the_file_is_told_alike(tmp_path: Path) -> None:
    doubtful = '{"title": "a", "price": "1,234"}'
    assert "line 2: price is '1,234'" in agree(PRODUCT, tmp_path / "a.jsonl", f"{LINE}\n{doubtful}\n{LINE}")[3]
    assert agree(PRODUCT, tmp_path / "a.json", f"[{LINE},\n{doubtful},\n{LINE}")[3]
    assert agree(PRODUCT, tmp_path / "a.csv", 'title,price\nLamp,5\nDesk,"1,234"\n"open,5\n')[3]


def test_a_fault_of_the_file_is_told_with_its_place(tmp_path: Path) -> None:
    lines = ",\n".join([LINE] * 3_000)
    assert "line 3001, column 4" in agree(PRODUCT, tmp_path / "a.json", f"[{lines},\n   x]")[3]
    assert "Text after the end" in agree(PRODUCT, tmp_path / "a.json", f"[{lines}]]")[3]
    assert "two lists" in agree(PRODUCT, tmp_path / "a.json", f'{{"items": [{lines}], "data": [1]}}')[3]


def test_arrays_within_the_elements_do_not_end_a_part(tmp_path: Path) -> None:
    inner = json.dumps(
        {**USUAL, "variants": [USUAL, USUAL], "options": [{}, {"values": [{}, {}]}]}, separators=(",", ":")
    )
    records, refused, _, _ = agree(PRODUCT, tmp_path / "a.json", f"[{','.join([inner] * 2_000)}]")
    assert (len(records), refused) == (2_000, [])


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_ordinary_rows_are_not_read_one_by_one(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a fast way that takes nothing would pass every test above."""
    rows = [{**USUAL, "title": f"Lämp {number}", "price": number + 0.5, "category": None} for number in range(5_000)]
    file = tmp_path / name
    if name == "a.csv":
        with file.open("w", encoding="utf-8", newline="") as text:
            table = csv.writer(text)
            table.writerow(["title", "price", "rating.rate", "image"])
            table.writerows([row["title"], row["price"], 4.5, row["image"]] for row in rows)
    else:
        text_of = "\n".join if name == "a.jsonl" else lambda texts: f"[{', '.join(texts)}]"
        file.write_text(text_of(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    alone: list[Any] = []
    read = FeedReader.fields

    def noting(reader: FeedReader, item: Any) -> dict[str, Any]:
        alone.append(item)
        return read(reader, item)

    monkeypatch.setattr(FeedReader, "fields", noting)
    with RecordFile(PRODUCT, file) as source:
        records = [record for batch in stored_batches(source, PRODUCT.check_new) for record in batch.records]
    assert [record[0] for record in records] == [row["title"] for row in rows]
    assert len(alone) <= 2


def test_what_is_kept_of_names_stays_bounded(tmp_path: Path) -> None:
    reader = FeedReader(PRODUCT)
    columns = FeedColumns(reader)
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(json.dumps({**USUAL, f"k{number}": 1}) for number in range(5_000)), encoding="utf-8")
    agree(PRODUCT, file, file.read_text(encoding="utf-8"))
    with RecordFile(PRODUCT, file) as source:
        for part in source._parts(columns):
            assert len(part.stored)
    assert len(columns._noted) < 3_500
