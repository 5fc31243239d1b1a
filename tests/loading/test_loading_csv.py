"""CSV files as spreadsheets and shops write them are read row by row."""

from pathlib import Path

import pytest
from declared import PRODUCT
from product_feed import fields, read

from afterwrite.loading import DecimalSign, Format, RecordFile, TextFileError, UnreadableRow

LAMP = {"title": "Lamp", "price": 5.5}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_csv_of_any_spreadsheet_is_read(tmp_path: Path, mark: bytes, separator: str, line_end: str) -> None:
    rows = [
        ["Title", "price", "description", "rating_rate", "ratingCount", "color"],
        ["Lamp", "5.50", '"a ""warm""\nlight"', "4.5", "12", "red"],
        [],
        ["Desk", "12", "", "", "", ""],
    ]
    content = mark + "".join(separator.join(row) + line_end for row in rows).encode()
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert [line for line, _ in read(path, content)[1]] == [2, 5]
    assert fields(path, content) == [
        {"title": "Lamp", "price": "5.50", "description": 'a "warm"\nlight', "rating_rate": 4.5, "rating_count": 12},
        {"title": "Desk", "price": "12"},
    ]


def test_csv_cells_may_hold_json(tmp_path: Path) -> None:
    content = (
        "name,price,rating,images\n"
        """Lamp,1,"{""rate"": 4.5, ""count"": 3}","[""https://x.org/a""]"\n"""
        "Desk,2,3.5,https://x.org/b\n"
        "Chair,3,{broken,\n"
    )
    assert fields(tmp_path / "a.csv", content) == [
        {"title": "Lamp", "price": "1", "rating_rate": 4.5, "rating_count": 3, "image": "https://x.org/a"},
        {"title": "Desk", "price": "2", "rating_rate": 3.5, "image": "https://x.org/b"},
        {"title": "Chair", "price": "3", "rating_rate": "{broken"},
    ]


def test_a_merchant_feed_separated_by_tabs_is_read(tmp_path: Path) -> None:
    content = (
        "id\ttitle\tdescription\tlink\timage_link\tprice\tproduct_type\n"
        "7\tLamp\tWarm, bright\thttps://x.org/7\thttps://x.org/7.jpg\t15.00 USD\tHome > Lamps\n"
    )
    assert read(tmp_path / "feed.txt", content)[0] is Format.CSV
    assert fields(tmp_path / "feed.txt", content) == [
        {
            "title": "Lamp",
            "price": "15.00",
            "description": "Warm, bright",
            "category": "Home > Lamps",
            "image": "https://x.org/7.jpg",
        }
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_the_line_in_which_excel_names_the_delimiter_is_no_row(
    tmp_path: Path, end: str, delimiter: str, name: str
) -> None:
    lines = [f"sep={delimiter}", f"title{delimiter}price{delimiter}a,b;c", f"Lamp{delimiter}5{delimiter}x"]
    lines[1] = lines[1].replace("a,b;c", '"a,b;c"')
    content = end.join(lines) + end
    assert fields(tmp_path / name, content) == [{"title": "Lamp", "price": "5"}]
    assert [line for line, _ in read(tmp_path / name, content)[1]] == [3]


def test_flat_csv_columns_of_nested_fields_are_known(tmp_path: Path) -> None:
    content = "title,price,rating.rate,rating.count,images.0\nLamp,1,4.5,3,https://x.org/a\n"
    assert fields(tmp_path / "a.csv", content) == [
        {"title": "Lamp", "price": "1", "rating_rate": 4.5, "rating_count": 3, "image": "https://x.org/a"}
    ]


def test_a_csv_row_with_too_few_fields_is_refused_alone(tmp_path: Path) -> None:
    _, rows = read(tmp_path / "a.csv", "title,price\nLamp\nDesk,2\n")
    assert rows[0] == (2, UnreadableRow("1 field, but the header has 2"))
    assert rows[1][0] == 3


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_lines_may_end_as_any_system_ends_them(tmp_path: Path, end: str, separator: str, quote: str, name: str) -> None:
    rows = [["Title", "price", "description"], ["Lamp", "5", "warm"], ["Desk", "12", "of oak"]]
    content = "".join(separator.join(f"{quote}{cell}{quote}" for cell in row) + end for row in rows)
    assert fields(tmp_path / name, content) == [
        {"title": "Lamp", "price": "5", "description": "warm"},
        {"title": "Desk", "price": "12", "description": "of oak"},
    ]
    assert [line for line, _ in read(tmp_path / name, content)[1]] == [2, 3]


def test_a_stray_line_end_in_a_cell_stays_in_the_cell(tmp_path: Path) -> None:
    assert fields(tmp_path / "a.csv", 'title,price\nLa\rmp,5\nDe\rsk\r,6\r\n"Ch\rair\r\n",7') == [
        {"title": "La\rmp", "price": "5"},
        {"title": "De\rsk", "price": "6"},
        {"title": "Ch\rair", "price": "7"},
    ]
    assert fields(tmp_path / "a.csv", 'title,price\r"La\nmp",5\rDesk,6\r') == [
        {"title": "La\nmp", "price": "5"},
        {"title": "Desk", "price": "6"},
    ]


def test_separators_in_a_quoted_head_are_not_counted(tmp_path: Path) -> None:
    content = 'title;price;"size, in cm, inch, or feet"\nLamp;5;1\n'
    assert fields(tmp_path / "a.csv", content) == [{"title": "Lamp", "price": "5"}]


def test_rows_without_anything_in_their_cells_are_no_rows(tmp_path: Path) -> None:
    content = "\n,,\ntitle,price,category\n,,\nLamp,5,Home\n , ,\n" + ",,\n" * 12_000 + "Desk,6,Home\n"
    rows = read(tmp_path / "a.csv", content)[1]
    assert [line for line, _ in rows] == [5, 12_007]


def test_the_space_around_every_cell_is_taken_away(tmp_path: Path) -> None:
    content = "title , price,description,category,image,rating\n Lamp\u00a0, 5 , warm ,Home , https://x.org/a , 4.5 \n"
    assert fields(tmp_path / "a.csv", content) == [
        {
            "title": "Lamp",
            "price": "5",
            "description": "warm",
            "category": "Home",
            "image": "https://x.org/a",
            "rating_rate": 4.5,
        }
    ]


@pytest.mark.parametrize(
    ("heads", "told"),
    [
        ("title,price,Title", r"gives title in 2 columns \(title, Title\): keep one of them"),
        ("title,price, PRICE ,x", r"gives price in 2 columns \(price, PRICE\)"),
        ("title,price,rating.rate,rating_rate", r"gives rating_rate in 2 columns"),
    ],
)
def test_a_column_that_is_there_twice_is_told(tmp_path: Path, heads: str, told: str) -> None:
    with pytest.raises(TextFileError, match=told):
        read(tmp_path / "a.csv", f"{heads}\nLamp,1,2,3\n")


@pytest.mark.parametrize(
    ("name", "rows", "price"),
    [
        ("a.csv", "title;price\nLamp;1.500\nDesk;12,50\n", "1500"),
        ("a.csv", "title;price\nLamp;1.500\nDesk;12.50\n", "1.500"),
        ("a.csv", 'title,price\nLamp,"1,500"\nDesk,"1.234,00"\n', "1.500"),
        ("a.csv", 'title,price\nLamp,1.500\nDesk,"12,50"\n', "1500"),
        ("a.csv", "title;price;rating_count\nLamp;1.500;\nDesk;7;1.234.567\n", "1500"),
        ("a.json", '[{"title": "Lamp", "price": "1,500"}, {"title": "Desk", "price": "12.5"}]', "1500"),
        ("a.jsonl", '{"title": "Lamp", "price": "1,500"}\n{"title": "Desk", "price": "12,5"}', "1.500"),
    ],
)
def test_the_other_numbers_of_a_file_show_its_decimal_sign(tmp_path: Path, name: str, rows: str, price: str) -> None:
    assert fields(tmp_path / name, rows)[0]["price"] == price


@pytest.mark.parametrize(
    "rows",
    [
        "title;price\nDesk;7\nLamp;1.500\n",
        'title,price\nDesk,7\nLamp,"1,500"\n',
        "title;price\nDesk;12,50\nLamp;1.500\nChair;12.50\n",
        'title,price\nDesk,"12,50"\nLamp,1.500\nChair,12.50\n',
    ],
)
def test_a_file_that_does_not_show_its_decimal_sign_is_refused_whole(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows)
    with RecordFile(PRODUCT, path) as source, pytest.raises(TextFileError) as caught:
        list(source.rows())
    assert f"{path}, line 3: price is '1" in str(caught.value)
    assert "which is 1500 or 1.500, and the other numbers do not show the decimal sign" in str(caught.value)
    with RecordFile(PRODUCT, path, DecimalSign.COMMA) as source:
        prices = [row["price"] for _, row in source.rows() if isinstance(row, dict)]
    assert prices[1] == ("1.500" if '"1,500"' in rows else "1500")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("Lamp,5\nDesk,6\n", "has no column title (or name) and price in its first line 'Lamp,5'"),
        ("", "a.csv is empty: give a header row"),
        ("\n ,,\r\n", "a.csv is empty: give a header row"),
        ('title,price\nLamp,1\n"Desk,2\nChair,3\n', "cannot be read from line 3 on: unexpected end of data"),
        ('title,price\n"La"mp,1\n', "cannot be read from line 2 on: ',' expected after"),
    ],
)
def test_csv_that_cannot_be_told_apart_is_refused_with_its_line(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(TextFileError) as caught:
        read(tmp_path / "a.csv", content)
    assert problem in str(caught.value)
