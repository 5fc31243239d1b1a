"""A text is found whichever way its characters are composed: é is one character, or an e with an accent behind it."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import psycopg
from databases import Database, EmbeddedDatabase
from declared import PRODUCT, product_filter
from hypothesis import given
from hypothesis import strategies as st
from in_process import EmbeddedCatalogue, create
from older_folder import make_older, run_on
from postgres_database import PostgresDatabase
from server_process import ROOT, ServerProcess
from task_calls import rest

from afterwrite.base.text import composed, folded
from afterwrite.resources.first_version import search_text
from afterwrite.resources.write import Operation, Write

WORDS = ["Café crème", "한국어 사전", "ガラス", "Åland", "Việt Nam", "ΐota", "Straße"]
ENTRY = "Crème brûlée 한국어"
SPELLINGS: tuple[Literal["NFC"], Literal["NFD"]] = ("NFC", "NFD")
MARKS = ", ".join("?" * 12)
CREATE = """mutation ($products: [ProductInput!]!) { createProducts(products: $products) {
    success errors { message } writes { id } } }"""
FIND = """query ($search: String, $category: String, $after: ID) {
    products(search: $search, category: $category, afterWrite: $after) { totalCount nodes { title category } } }"""
FIND_ENTRIES = "query ($s: String) { entries(search: $s) { totalCount nodes { id } } }"
FIND_TASKS = "query ($s: String) { tasks(search: $s) { nodes { id } } }"


def spelled(word: str) -> list[str]:
    """The word composed, decomposed, and both of these in the other case."""
    return [normalize(form, text) for form in SPELLINGS for text in (word, word.swapcase())]


def test_a_product_is_one_in_every_spelling(server: ServerProcess) -> None:
    products = [
        {"title": normalize(form, word), "price": 1, "category": normalize(form, word)}
        for word in WORDS
        for form in SPELLINGS
    ]
    created = server.query(CREATE, {"products": products})["createProducts"]
    after = created["writes"][-1]["id"]
    for word in WORDS:
        for term in (*spelled(word), word[:-1]):
            found = server.query(FIND, {"search": term, "after": after})["products"]
            assert found["totalCount"] == 2, term
            assert {node["title"] for node in found["nodes"]} == {normalize("NFC", word)}
        for form in SPELLINGS:
            assert server.query(FIND, {"category": normalize(form, word)})["products"]["totalCount"] == 2
    categories = server.query("{ categories { name count } }")["categories"]
    assert sorted((row["name"], row["count"]) for row in categories) == sorted(
        (normalize("NFC", word), 2) for word in WORDS
    )


def test_an_entry_is_found_in_every_spelling(server: ServerProcess) -> None:
    for form in SPELLINGS:
        assert rest(server, "POST", "/api/entries", {"title": normalize(form, "Café 한")}).status == 201
    for term in spelled("café 한"):
        entries = server.query(FIND_ENTRIES, {"s": term})["entries"]
        assert (entries["totalCount"], len(entries["nodes"])) == (2, 2)
        assert len(server.query(FIND_TASKS, {"s": term})["tasks"]["nodes"]) == 2


def old_rows() -> list[tuple[Any, ...]]:
    """Products as version 0.1.0 stored them, with the text that its searches looked in."""
    rows = []
    for number, (word, form) in enumerate([(word, form) for word in WORDS for form in SPELLINGS], 1):
        text = normalize(form, word)
        rows.append(
            (number, text, 100, text, text, None, None, None, 1, 1, 1, f"{text}\x1f{text}\x1f{text}".casefold())
        )
    return rows


def make_older_catalogue(database: Database) -> None:
    """A database of the schema before: products, a waiting create and an ended entry, all stored as they were sent."""
    waiting = create(normalize("NFD", "Éclair")).arguments
    if isinstance(database, PostgresDatabase):
        _make_older_in_postgres(database, waiting)
    else:
        _make_older_folder(database.folder, waiting)
    title, now_us = normalize("NFD", ENTRY), time.time_ns() // 1_000
    database.rows(
        "INSERT INTO tasks (id, type, status, progress, stage, payload_json, result_json, error_is_final, attempt, "
        "max_attempts, priority, run_at_us, ready, cancel_asked, renewals, claim, created_at_us, updated_at_us, "
        "started_at_us, finished_at_us, search_text) "
        "VALUES (5, 'entry', 'COMPLETED', 100, 'COMPLETED', ?, ?, 0, 1, 3, 0, ?, 0, 0, 0, 1, ?, ?, ?, ?, ?)",
        json.dumps({"title": title}, ensure_ascii=False),
        '{"stages":[]}',
        *[now_us] * 5,
        f" {title}".casefold(),
    )


def _make_older_in_postgres(database: PostgresDatabase, waiting: str) -> None:
    with psycopg.connect(database.url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS afterwrite CASCADE")
        connection.execute("CREATE SCHEMA afterwrite")
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA afterwrite")
        connection.execute("CREATE TABLE afterwrite.schema_versions (version int PRIMARY KEY, applied_at timestamptz)")
        for number in range(1, 4):
            script = (ROOT / "afterwrite" / "storage" / "postgres" / "sql" / f"{number:04}.sql").read_text(
                encoding="utf-8"
            )
            connection.execute(script.replace("gin_trgm_ops", "afterwrite.gin_trgm_ops").encode())
            connection.execute("INSERT INTO afterwrite.schema_versions VALUES (%s, now())", (number,))
    for row in old_rows():
        database.rows(f"INSERT INTO products VALUES ({MARKS})", *row)
    database.rows("INSERT INTO writes VALUES (7, 'CREATE', 99, ?, 3)", waiting)
    database.rows("UPDATE journal_accepted SET writes = 1, last_write_id = 7")


def _make_older_folder(folder: Path, waiting: str) -> None:
    for name, version in (("products", 2), ("journal", 2), ("tasks", 3)):
        make_older(folder / f"{name}.db", name, version)
    with closing(sqlite3.connect(folder / "products.db")) as products, products:
        products.executemany(f"INSERT INTO products VALUES ({MARKS})", old_rows())
        # Half of them are in the index, one is to be indexed again.
        products.execute(
            "INSERT INTO products_fts (rowid, search_text) SELECT id, search_text FROM products WHERE id <= 7"
        )
        products.execute("UPDATE search_state SET indexed_through = 7")
        products.execute("INSERT INTO search_behind SELECT id, search_text FROM products WHERE id = 2")
    run_on(folder / "journal.db", "INSERT INTO writes VALUES (7, 'CREATE', 99, ?, 3, NULL, NULL)", waiting)


def test_what_an_earlier_version_stored_is_found_in_every_spelling(database: Database) -> None:
    make_older_catalogue(database)
    server = ServerProcess.on(database).start()
    try:
        for word in WORDS:
            for term in spelled(word):
                assert server.query(FIND, {"search": term})["products"]["totalCount"] == 2, term
            for part in (word[:2], word[1:4]):
                found = server.query(FIND, {"search": normalize("NFD", part)})["products"]["nodes"]
                assert normalize("NFC", word) in {node["title"] for node in found}, part
            for form in SPELLINGS:
                assert server.query(FIND, {"category": normalize(form, word)})["products"]["totalCount"] == 2
        assert {row["count"] for row in server.query("{ categories { count } }")["categories"]} == {2}
        found = server.query(FIND, {"search": "éclair", "after": "7"})["products"]["nodes"]
        assert [node["title"] for node in found] == ["Éclair"]
    finally:
        server.kill()
    for title, stored in database.rows("SELECT title, search_text FROM products"):
        assert title == normalize("NFC", title)
        assert stored == normalize("NFC", stored)


def test_an_entry_that_an_earlier_version_stored_is_found_in_every_spelling(database: Database) -> None:
    make_older_catalogue(database)
    server = ServerProcess.on(database).start()
    try:
        for term in (*spelled(ENTRY), normalize("NFD", ENTRY[1:7])):
            entries, tasks = (server.query(document, {"s": term}) for document in (FIND_ENTRIES, FIND_TASKS))
            assert [node["id"] for node in entries["entries"]["nodes"]] == ["5"], term
            assert [node["id"] for node in tasks["tasks"]["nodes"]] == ["5"], term
    finally:
        server.kill()
    assert database.rows("SELECT search_text FROM tasks") == [(f" {normalize('NFC', ENTRY)}".casefold(),)]


def test_the_index_of_an_earlier_version_follows(tmp_path: Path) -> None:
    database = EmbeddedDatabase(tmp_path / "data")
    make_older_catalogue(database)
    catalogue = EmbeddedCatalogue(database.folder)
    try:
        catalogue.settle()
        for _ in range(20):
            for word in WORDS:
                assert len(catalogue.products.page(normalize("NFD", word), 10, 0)) == 2
                assert catalogue.products.count(product_filter(search=word)) == 2
            catalogue.follow_index(2)
        assert database.rows("SELECT count(*) FROM products_search_behind") == [(0,)]
    finally:
        catalogue.stop()
    with closing(sqlite3.connect(database.folder / "products.db")) as connection:
        connection.execute("INSERT INTO products_fts (products_fts) VALUES ('integrity-check')")


TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("e\u0301\u0327\u0958\u0345\u1112\u1161\u11ab"),
    max_size=8,
)


@given(TEXTS, TEXTS)
def test_spellings_of_one_text_are_folded_alike(text: str, around: str) -> None:
    assert folded(normalize("NFD", text)) == folded(normalize("NFC", text)) == folded(text)
    assert folded(folded(text)) == folded(text)
    stored = search_text(around + "." + text + ".", None, None)
    assert folded("." + normalize("NFD", text) + ".") in stored


def test_a_limit_holds_for_the_text_that_is_stored() -> None:
    grows = "\u0958" * 200  # each becomes two characters
    [refused] = PRODUCT.check_new({"title": grows, "price": 1})[1]
    assert "has 400 characters" in str(refused)
    assert not PRODUCT.check_new({"title": "e\u0301" * 300, "price": 1})[1]


def test_a_picture_stays_as_it_was_sent() -> None:
    picture = "https://x.org/" + normalize("NFD", "é.jpg")
    checked, refused = PRODUCT.check_new({"title": "x", "price": 1, "image": picture})
    assert (checked["image"], refused) == (picture, [])


def test_a_write_of_an_earlier_version_is_applied_composed() -> None:
    decomposed = normalize("NFD", "é")
    write = Write(
        1,
        "Product",
        Operation.CREATE,
        1,
        f'{{"title":"{decomposed}","price_minor":1,"description":null,"category":null,'
        '"image":null,"rating_rate":null,"rating_count":null}',
        1,
    )
    product = PRODUCT.apply(write, None)
    assert product is not None
    assert product.title == composed(decomposed) == "é"
