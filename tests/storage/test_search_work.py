"""Tests that the work of a search follows what it shows, not the size of the catalogue."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from declared import ORDERS, PRODUCT, RESOURCES, product_filter
from in_process import EmbeddedCatalogue, create, delete, update

from afterwrite.storage.records import Position, RecordFilter, RecordOrder, Records
from afterwrite.storage.sqlite.bulk import bulk_load, open_for_loading
from afterwrite.storage.sqlite.data_folder import open_data_folder
from afterwrite.storage.sqlite.engine import open_reader

PRODUCTS = 100_000
MANY, NONE = "lamp", "quartz"
Read = Callable[[Records], Any]

READS: dict[str, Read] = {
    "a miss": lambda products: products.page(NONE, 50, 0),
    "a long miss": lambda products: products.page(NONE * 30, 50, 0),
    "a miss, counted": lambda products: products.count(product_filter(NONE)),
    "a miss in a category": lambda products: ids(products, product_filter(NONE, "Home")),
    "a miss by price": lambda products: by(products, product_filter(NONE, None, 1), ORDERS["PRICE_ASC"]),
    "a miss by title": lambda products: by(products, product_filter(NONE), ORDERS["TITLE_DESC"]),
    "many hits": lambda products: products.page(MANY, 10, 0),
    "many hits of one letter": lambda products: products.page("l", 10, 0),
    "many hits by id": lambda products: ids(products, product_filter(MANY)),
    "many hits by id downwards": lambda products: by(products, product_filter(MANY), ORDERS["ID_DESC"]),
    "many hits in a category": lambda products: ids(products, product_filter(MANY, "Home")),
    "many hits in a price range": lambda products: ids(products, product_filter(MANY, "Home", 1, 900)),
    "many hits after a cursor": lambda products: products.after(
        product_filter(MANY), ORDERS["ID_ASC"], Position(0, PRODUCTS // 2), 10
    ),
    "many hits before a cursor": lambda products: products.before(
        product_filter(MANY), ORDERS["ID_ASC"], Position(0, PRODUCTS // 2), 10
    ),
}


def ids(products: Records, wanted: RecordFilter) -> Any:
    """A page by id."""
    return by(products, wanted, ORDERS["ID_ASC"])


def by(products: Records, wanted: RecordFilter, order: RecordOrder) -> Any:
    """The first page in an order."""
    return products.after(wanted, order, None, 10)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCatalogue]:
    """Many products that are all alike, the index behind by one changed, one deleted and one new."""
    folder = tmp_path_factory.mktemp("search-work")
    open_data_folder(folder / "products.db", folder / "journal.db", RESOURCES).close()
    fields = dict.fromkeys(PRODUCT.of_column)
    lamps = (
        {**fields, "title": f"Lamp {number}", "price_minor": 1 + number % 1_000, "category": "Home"}
        for number in range(PRODUCTS)
    )
    with closing(open_for_loading(folder / "products.db")) as connection, bulk_load(connection, PRODUCT, 1) as load:
        load.insert([PRODUCT.stored_values(lamp) for lamp in lamps])
    opened = EmbeddedCatalogue(folder)
    opened.settle()
    while opened.follow_index(PRODUCTS):
        pass
    opened.write(update(1, title="Lamp, changed"), delete(2), create("Lamp, new", category="Home"))
    yield opened
    opened.stop()


def steps(catalogue: EmbeddedCatalogue, read: Read) -> int:
    """The steps that SQLite's machine takes for a read: its work, in a figure that no load changes."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    engine = open_reader(catalogue.path, 1)
    try:
        with engine.connect() as only_one:
            connection: Any = only_one.connection.driver_connection
        connection.set_progress_handler(count, 1)
        assert read(Records(engine, PRODUCT)) is not None
    finally:
        engine.dispose()
    return taken


@pytest.mark.parametrize("name", READS)
def test_a_search_takes_far_fewer_steps_than_there_are_products(catalogue: EmbeddedCatalogue, name: str) -> None:
    assert 0 < steps(catalogue, READS[name]) < PRODUCTS // 2  # a look at every product takes four for each
