"""Product files of every format are read row by row; what cannot be read is named by its place."""

import json
from pathlib import Path
from typing import Any

import pytest
from declared import PRODUCT
from hypothesis import given
from hypothesis import strategies as st
from product_feed import fields, read

from afterwrite.loading import Format, RecordFile, TextFileError, UnreadableRow
from afterwrite.loading.json_elements import JsonSyntaxError, elements
from afterwrite.resources.feed_names import feed_names

PRODUCTS = feed_names(PRODUCT).lists
LAMP = {"title": "Lamp", "price": 5.5}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", "[]", Format.JSON),
        ("a.json", '\n [{"title": "Lamp"}]', Format.JSON),
        ("a.json", '{"products": [{"title": "Lamp"}]}', Format.JSON),
        ("a.json", '{\n"total": 0, "products": []}', Format.JSON),
        ("a.json", '{"title": "Lamp"}\n{"title": "Desk"}', Format.JSONL),
        ("a.txt", '{"title": "Lamp"}', Format.JSONL),
        ("a.jsonl", "nonsense", Format.JSONL),
        ("a.json", '{"items": [{"title": "Lamp"}]}', Format.JSON),
        ("a.json", '{"data": {"products": [{"title": "Lamp"}]}}', Format.JSON),
        ("a.txt", '{"title": "All lamps", "items": [{"title": "Lamp"}]}', Format.JSON),
        ("a.json", '{"title": "A set", "price": 3, "items": []}', Format.JSONL),
        ("a.json", '{"title": "Lamp"}\r{"title": "Desk"}', Format.JSONL),
        ("a.json", '{"sku": 1}\n{"title": "Desk"}', Format.JSONL),
        ("a.jsonl", '[{"title": "Lamp"}]', Format.JSON),
        ("a.csv", "title,price\n[,1", Format.CSV),
        ("a.tsv", "title\tprice\nLamp\t1", Format.CSV),
        ("export", "title,price\nLamp,1", Format.CSV),
        ("a.jsonl", "", Format.JSONL),
    ],
)
def test_the_format_follows_content_and_extension(tmp_path: Path, name: str, content: str, expected: Format) -> None:
    assert read(tmp_path / name, content)[0] is expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"name": "Lamp", "price": "5.50"}, {"title": "Lamp", "price": "5.50"}),
        ({"title": "Lamp", "name": "lamp-1"}, {"title": "Lamp"}),
        ({"thumbnail": "https://x.org/a"}, {"image": "https://x.org/a"}),
        ({"image": "", "images": ["https://x.org/a", "https://x.org/b"]}, {"image": "https://x.org/a"}),
        ({"image_url": "https://x.org/a"}, {"image": "https://x.org/a"}),
        (
            {"image_link": "https://x.org/a", "product_type": "Home > Lamps"},
            {"image": "https://x.org/a", "category": "Home > Lamps"},
        ),
        ({"category": "Home", "product_type": "Lamps"}, {"category": "Home"}),
        ({"category": "", "product_type": "Lamps"}, {"category": "Lamps"}),
        ({"category": ""}, {"category": ""}),
        ({"image": "https://x.org/a", "thumbnail": "https://x.org/b"}, {"image": "https://x.org/a"}),
        ({"images": []}, {}),
        ({"image": {"src": "https://x.org/a", "alt": "A lamp"}}, {"image": "https://x.org/a"}),
        ({"images": [{"src": "https://x.org/a"}, {"src": "https://x.org/b"}]}, {"image": "https://x.org/a"}),
        ({"image": {"url": "https://x.org/a"}}, {"image": "https://x.org/a"}),
        ({"image": {"alt": "A lamp"}}, {"image": {"alt": "A lamp"}}),
        ({"image": "N/A", "thumbnail": "https://x.org/a"}, {"image": "https://x.org/a"}),
        ({"image": "n/a", "rating": "N/A", "ratingCount": "-"}, {}),
        ({"description": "N/A", "category": "N/A"}, {"description": "N/A", "category": "N/A"}),
        ({"image": "https://x.org/a, https://x.org/b"}, {"image": "https://x.org/a"}),
        ({"image": "https://x.org/a,https://x.org/b"}, {"image": "https://x.org/a"}),
        ({"image": "https://x.org/a|HTTPS://x.org/b"}, {"image": "https://x.org/a"}),
        ({"image": "https://x.org/w_300,h_200/a"}, {"image": "https://x.org/w_300,h_200/a"}),
        ({"image": "HTTPS://x.org/a"}, {"image": "HTTPS://x.org/a"}),
        ({"rating": 4.5}, {"rating_rate": 4.5}),
        ({"rating": "4.5"}, {"rating_rate": 4.5}),
        ({"rating": {"rate": 3.9, "count": 120}}, {"rating_rate": 3.9, "rating_count": 120}),
        ({"rating": 4, "ratingCount": 12.0}, {"rating_rate": 4, "rating_count": 12}),
        ({"rating_rate": 4.5, "rating_count": "7"}, {"rating_rate": 4.5, "rating_count": 7}),
        ({"ratingRate": 4.5, "ratingCount": 7}, {"rating_rate": 4.5, "rating_count": 7}),
        ({"category": {"id": 4, "name": "Lights"}}, {"category": "Lights"}),
        ({"id": 4, "stock": 3, "tags": ["a"]}, {}),
        # What fits nowhere stays as it is, so that the refusal can show it.
        ({"rating": [1], "ratingCount": 1.5}, {"rating_rate": [1], "rating_count": 1.5}),
    ],
)
def test_field_names_of_feeds_become_ours(tmp_path: Path, item: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fields(tmp_path / "a.jsonl", json.dumps(item)) == [expected]


def test_a_line_that_is_no_product_does_not_stop_the_lines_after_it(tmp_path: Path) -> None:
    deep = "[" * 200_000
    lines = [json.dumps(LAMP), "", '{"title": ', "3", f"{json.dumps(LAMP)} {{}}", deep, f"[{'9' * 5000}]", "  {}\r"]
    _, rows = read(tmp_path / "a.jsonl", "\n".join(lines))
    assert [line for line, _ in rows] == [1, 3, 4, 5, 6, 7, 8]
    reasons = [row.reason for _, row in rows if isinstance(row, UnreadableRow)]
    assert reasons[0] == "not valid JSON: Expecting value at column 10"
    assert reasons[1] == "a number: give an object with at least title and price"
    assert "more text after the value at column 32" in reasons[2]
    assert len(reasons) == 5


def test_lines_that_cross_the_blocks_are_read_whole(tmp_path: Path) -> None:
    items = [{"title": f"Lämp 💡 {number}", "price": number} for number in range(30_000)]
    content = "\n".join(json.dumps(item, ensure_ascii=False) for item in items)
    _, rows = read(tmp_path / "a.jsonl", content)
    assert [line for line, _ in rows] == list(range(1, 30_001))
    assert fields(tmp_path / "a.jsonl", content) == items


def test_an_array_gives_each_element_with_its_line(tmp_path: Path) -> None:
    content = '[\n  {"title": "Lamp",\n   "price": 1},\n\n 7, {"title": "Desk"}\n]\n'
    _, rows = read(tmp_path / "a.json", content)
    assert [line for line, _ in rows] == [2, 5, 5]
    assert rows[1][1] == UnreadableRow("a number: give an object with at least title and price")


def test_an_element_with_a_name_twice_is_refused_alone(tmp_path: Path) -> None:
    lamp = '{"title": "Lamp", "price": 1, "price": 2}'
    reason = UnreadableRow("an object has the name 'price' twice: keep one of them")
    for name, content in (("a.json", f'[{lamp}, {{"title": "Desk"}}]'), ("a.jsonl", f'{lamp}\n{{"title": "Desk"}}')):
        rows = [row for _, row in read(tmp_path / name, content)[1]]
        assert rows[0] == reason
        assert isinstance(rows[1], dict)


def test_the_name_given_twice_is_found_at_once_among_very_many(tmp_path: Path) -> None:
    names = ",".join(f'"k{number}":1' for number in range(300_000))  # comparing each with each takes half an hour
    [(_, row)] = read(tmp_path / "a.jsonl", f'{{{names},"k299999":2}}')[1]
    assert row == UnreadableRow("an object has the name 'k299999' twice: keep one of them")


@pytest.mark.parametrize("depth", [6, 400, 5_000])
def test_an_object_that_nests_without_end_has_no_list(tmp_path: Path, depth: int) -> None:
    content = '{"data":' * depth + '[{"title": "Lamp"}]' + "}" * depth
    with pytest.raises(TextFileError, match=r"no list of products was found|cannot be read"):
        read(tmp_path / "a.json", content)


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv"])
def test_a_number_too_small_for_a_float_is_refused_with_its_value(tmp_path: Path, name: str) -> None:
    item = '{"title": "Lamp", "price": 1e-400, "rating": 1e-400}'
    content = {"a.json": f"[{item}]", "a.jsonl": item, "a.csv": "title,price,rating\nLamp,1e-400,1e-400\n"}[name]
    [(_, row)] = read(tmp_path / name, content)[1]
    assert isinstance(row, dict)
    _, refused = PRODUCT.check_new(row)
    assert [(error.field, "1E-400" in str(error).upper()) for error in refused] == [
        ("price", True),
        ("rating_rate", True),
    ]


def test_an_object_gives_its_array_of_products(tmp_path: Path) -> None:
    for content in (
        '{"items": [{"title": "Lamp"}], "total": 1}',
        '{"data": {"products": [{"title": "Lamp"}], "next": null}}',
        '{"data":\n {"products": {"nodes": [{"title": "Lamp"}]}}}',
        '{"title": "All", "results": [{"title": "Lamp"}]}',
    ):
        assert fields(tmp_path / "b.json", content) == [{"title": "Lamp"}]
    content = '{"total": 1, "page": {"products": [1]}, "products": [{"title": "Lamp"}], "limit": 30}'
    assert fields(tmp_path / "a.json", content) == [{"title": "Lamp"}]


@given(st.lists(JSON_VALUES, max_size=5), st.integers(1, 40), st.sampled_from([None, 1]), st.booleans())
def test_elements_are_the_same_however_the_text_is_cut(
    values: list[Any], size: int, indent: int | None, wrapped: bool
) -> None:
    text = json.dumps({"a": {}, "products": values, "b": -1.5e3} if wrapped else values, indent=indent)
    blocks = (text[start : start + size] for start in range(0, len(text), size))
    assert [value for _, value in elements(blocks, PRODUCTS)] == values


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('[\n{"title": "Lamp"},\n{"title" "Desk"}]', "Expecting ':' delimiter at line 3, column 10"),
        ('[{"title": "Lamp"}', "Expected ',' or ']', found the end of the file at line 1, column 19"),
        ('[{"title": "Lamp}]', "Unterminated string starting at at line 1, column 12"),
        ("[{}] []", "Text after the end of the JSON value at line 1, column 6"),
        ('{"items": [], "data": [{}]}', 'The object has two lists, "items" and "data" at line 1, column 23'),
        ('{"products": [], "products": []}', 'The object has two lists, "products" and "products" at line 1'),
        ("[{},]", "Expecting value at line 1, column 5"),
        ("[" + '{"a":' * 100_000, "A value cannot be read (maximum recursion depth"),
    ],
)
def test_a_syntax_error_in_an_array_names_its_place(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(TextFileError) as caught:
        read(tmp_path / "a.json", content)
    assert problem in str(caught.value)
    assert "correct the file" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        '{"catalog": {"products": [{"title": "Lamp"}]}}',
        '{"catalog": [{"title": "Lamp", "price": 5}]}\n',
        '{\n  "rows": []\n}',
        "{}",
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a.txt"])
def test_an_object_without_a_list_that_is_looked_for_names_where_it_may_stand(
    tmp_path: Path, name: str, content: str
) -> None:
    with pytest.raises(TextFileError) as caught:
        read(tmp_path / name, content)
    assert str(caught.value) == (
        f"{tmp_path / name}: no list of products was found: it may stand under products, items, data, results, nodes"
    )


def test_a_value_without_an_end_is_given_up_before_memory_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterwrite.loading.json_elements.LONGEST_VALUE", 10_000)
    given_blocks = 0

    def endless() -> Any:
        nonlocal given_blocks
        yield '["'
        while True:
            given_blocks += 1
            yield "x" * 1_000

    with pytest.raises(JsonSyntaxError, match="longer than 10,000"):
        list(elements(endless(), PRODUCTS))
    assert given_blocks < 30


def test_a_line_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterwrite.loading.jsonl_lines.LONGEST_VALUE", 1_000)
    with pytest.raises(TextFileError, match="line 2 is longer than 1,000 characters"):
        read(tmp_path / "a.jsonl", "{}\n" + "x" * 600_000)


def test_jsonl_may_end_its_lines_with_cr(tmp_path: Path) -> None:
    assert fields(tmp_path / "a.jsonl", '{"title": "Lamp"}\r{"title": "Desk"}\r') == [
        {"title": "Lamp"},
        {"title": "Desk"},
    ]


def test_every_name_that_is_not_read_is_told_once(tmp_path: Path) -> None:
    items = [
        {"title": "Lamp", "name": "lamp-1", "price": "5.00 USD", "sku": n, "category": {"id": 1, "name": "x"}}
        for n in range(3)
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, items)))
    with RecordFile(PRODUCT, path) as source:
        list(source.rows())
        assert source.notes() == [
            "Columns ignored: sku, name, category.id",
            "Prices are in USD. Only the amounts were kept",
        ]
    path.write_text("title;colour;price\nLamp;red;5 EUR\nDesk;;7,50 €\nChair;;€7\n")
    with RecordFile(PRODUCT, path.rename(tmp_path / "a.csv")) as source:
        list(source.rows())
        names, currencies = source.notes()
    assert names == "Columns ignored: colour"
    assert (
        "Prices are in several currencies (EUR 1, € 2). Only the amounts were kept, nothing was converted" in currencies
    )


def test_of_very_many_names_only_some_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({f"name {n} {'x' * 100}": n for n in range(500)} | {"\ud800": 1}))
    with RecordFile(PRODUCT, path) as source:
        list(source.rows())
        [told] = source.notes()
    assert len(told) < 4_000
    assert told.endswith(", …")


@pytest.mark.parametrize("before", [0, 300_000])
def test_a_wrong_encoding_is_named_with_byte_and_position(tmp_path: Path, before: int) -> None:
    filling = '{"title": "äöü"}\n' * (before // 20)
    content = filling.encode() + '{"title": "Café"}'.encode("latin-1")
    position = len(filling.encode()) + 14
    with pytest.raises(TextFileError) as caught:
        read(tmp_path / "a.jsonl", content)
    assert f"byte 0xE9 at position {position:,} (line {before // 20 + 1}): save the file as UTF-8" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_recognised(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(TextFileError, match=r"a\.csv is UTF-16: save it as UTF-8; in Excel choose Save As"):
        read(tmp_path / "a.csv", "title,price\n".encode(encoding))


@pytest.mark.parametrize("start", ["504B030414000600", "D0CF11E0A1B11AE1"])
@pytest.mark.parametrize("name", ["a.xlsx", "a.csv", "a"])
def test_a_workbook_is_recognised_by_its_first_bytes(tmp_path: Path, start: str, name: str) -> None:
    with pytest.raises(TextFileError, match=f"{name} is an Excel workbook: in Excel choose Save As, CSV UTF-8"):
        read(tmp_path / name, bytes.fromhex(start) + bytes(1_000))


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(TextFileError, match=r"cannot be opened: .*: check the name and the rights"):
        RecordFile(PRODUCT, tmp_path / name)
