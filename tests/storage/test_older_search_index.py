"""The search index of the version before is made again in the background, and every search is exact meanwhile."""

import sqlite3
from contextlib import closing
from pathlib import Path

from declarations import Locker
from declared import PRODUCT, product_filter
from in_process import LOCKER, EmbeddedCatalogue, create, create_locker, delete, recode, update

from afterwrite.resources.registry import Resources
from afterwrite.storage.records import RecordFilter
from afterwrite.storage.sqlite.search_index import index_names
from product_types import Product

BOTH = Resources([Product, Locker])
KEPT = ("_search_state", "_search_behind")


def give_older_index(connection: sqlite3.Connection, table: str) -> None:
    """Put the index of schema version 5 in place of the one that a table has; it holds all records but the last."""
    for name in index_names(table):
        if not name.endswith(KEPT):
            connection.execute(f"DROP TABLE {name}")
    connection.execute(
        f"CREATE VIRTUAL TABLE {table}_fts USING fts5(search_text, content = '', columnsize = 0, detail = none, "
        'tokenize = "trigram case_sensitive 1")'
    )
    connection.execute(f"UPDATE {table}_search_state SET indexed_through = (SELECT max(id) - 1 FROM {table})")
    through = f"(SELECT indexed_through FROM {table}_search_state)"
    connection.execute(
        f"INSERT INTO {table}_fts (rowid, search_text) SELECT id, search_text FROM {table} WHERE id <= {through}"
    )
    connection.execute(f"DELETE FROM {table}_search_behind")
    connection.execute(f"INSERT INTO {table}_search_behind SELECT id, search_text FROM {table} WHERE id = 1")
    connection.execute("PRAGMA user_version = 5")


def schema(path: Path) -> set[tuple[str, str]]:
    """What the database has, and how it was made."""
    with closing(sqlite3.connect(path)) as connection:
        return set(
            connection.execute("SELECT name, sql FROM sqlite_schema WHERE name LIKE '%\\_search\\_%' ESCAPE '\\'")
        )


def found(catalogue: EmbeddedCatalogue) -> list[int]:
    """How many records some searches find: common, rare, short, in and between words, none."""
    products, lockers = catalogue.products, catalogue.stores.records[LOCKER.name]
    terms = ("oo", "wool", "blanket 1", "et 1", "1", "x", "wood", "blanket wool", "changed")
    return [
        *(products.count(product_filter(search=term)) for term in terms),
        *(len(products.page(term, 100, 0)) for term in terms),
        *(lockers.count(RecordFilter(search=term)) for term in ("code", "de-1", "-", "new", "9z")),
    ]


def test_a_folder_of_the_version_before_is_searched_exactly_while_its_index_is_made_again(tmp_path: Path) -> None:
    catalogue = EmbeddedCatalogue(tmp_path, resources=BOTH)
    catalogue.write(*(create(f"Wool blanket {number}") for number in range(30)))
    catalogue.write(*(create_locker(f"code-{number}") for number in range(20)))
    before = found(catalogue)
    catalogue.stop()
    new = schema(tmp_path / "products.db")
    with closing(sqlite3.connect(tmp_path / "products.db", isolation_level=None)) as connection:
        for resource in (PRODUCT, LOCKER):
            give_older_index(connection, resource.table)
    catalogue = EmbeddedCatalogue(tmp_path, resources=BOTH, held=True)
    assert schema(tmp_path / "products.db") == new
    assert found(catalogue) == before
    catalogue.settle()
    while catalogue.follow_index(7):
        assert found(catalogue) == before
    catalogue.write(update(1, title="Linen, changed"), delete(2), create("Late wool"), recode(1, "new-1"))
    changed = found(catalogue)
    assert changed != before
    catalogue.settle()
    while catalogue.follow_index(1):
        assert found(catalogue) == changed
    assert found(catalogue) == changed
    catalogue.stop()
