"""A changed declaration: what only adds is applied at the start, what could lose data stops it and says what to do."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from random import Random
from typing import Any

import pytest
from databases import Database
from declarations import Order, resource, resources
from declared import RESOURCES
from many_processes import Fleet

from afterwrite import Boolean, Choice, Date, Integer, Json, Money, Number, Reference, Resource, Text, Url
from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.resources.registry import Resources, compiled
from afterwrite.resources.resource import ResourceType
from afterwrite.service.service import Service
from afterwrite.storage.catalogue_load import open_loader
from afterwrite.storage.stores import prepare_stores


class Owner(Resource):
    """Somebody with pets."""

    name = Text(required=True, max_length=50)


class Pet(Resource):
    """A pet."""

    owner = Reference(Owner, required=True)


NAMES = ("red lamp", "blue lamp", "chair")


def things(**fields: Any) -> Resources:
    """A declaration of things, which have a title and these fields."""
    return resources("Thing", title=Text(required=True, max_length=50, search=True, order=True), **fields)


def prepare(database: Database, declared: Resources, *allowed: str) -> None:
    """Start once."""
    prepare_stores(database.settings(), declared, allowed)


def load(database: Database, declared: Resources, *records: dict[str, Any]) -> None:
    """Store records."""
    [owner] = declared.values()
    rows = [owner.check_new(record) for record in records]
    assert [refused for _, refused in rows if refused] == []
    with closing(open_loader(database.settings(), declared, owner)) as loader:
        with loader.load() as loading:
            loading.insert([owner.stored_values(stored) for stored, _ in rows])
        loader.index()


def titles(database: Database, declared: Resources, search: str) -> list[str]:
    """What a search finds, after the index and the searched texts have followed."""
    service = Service(database.settings(), declared)
    service.start()
    try:
        [records] = service.records.values()
        from server_process import wait_until

        wait_until(lambda: not database.rows("SELECT 1 FROM meta WHERE name LIKE 'search_text_of_%'"))
        return [record.title for record in records.page(search, 10, 0)]
    finally:
        service.stop()


def test_a_table_is_made_of_its_declaration_and_a_second_start_changes_nothing(database: Database) -> None:
    declared = Resources([Order])
    prepare(database, declared)
    before = database.indexes()
    names = [name for name, _definition in before if name.startswith("orders_")]
    assert {"orders_unique_number", "orders_unique_mail", "orders_by_number", "orders_of_total"} & set(names) == {
        "orders_unique_number",
        "orders_unique_mail",
        "orders_by_number",
    }
    prepare(database, declared)
    assert database.indexes() == before
    assert (
        json.loads(database.rows("SELECT declaration FROM resources WHERE name = 'Order'")[0][0])["table"] == "orders"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"brand": Text(max_length=9, search=True, filter="equal", order=True)},
        {"size": Integer(required=True, default=7, filter="range")},
        {"size": Number(default=1.5), "price": Money(), "day": Date(order=True), "more": Json(), "open": Boolean()},
        {
            "kind": Choice("A", "B", required=True, default="B", facet=True),
            "link": Url(),
            "name": Text(max_length=9, unique=True),
        },
    ],
    ids=lambda fields: "-".join(fields),
)
def test_what_only_adds_is_applied_at_the_start_and_recorded(database: Database, fields: dict[str, Any]) -> None:
    load(database, things(), *({"title": name} for name in NAMES))
    declared = things(**fields)
    prepare(database, declared)
    owner = declared["Thing"]
    rows = database.rows(f"SELECT {', '.join(owner.columns)} FROM things ORDER BY id")
    for row, name in zip(rows, NAMES, strict=True):
        record = owner.record(*row)
        assert record.title == name
        assert [getattr(record, field) for field in fields] == [
            field.default if field.default is not None else None for field in fields.values()
        ]
    prepare(database, declared)
    load(database, declared, {"title": "another"})
    assert titles(database, declared, "LAMP") == ["red lamp", "blue lamp"]


def test_a_field_that_is_searched_now_is_found_and_one_that_is_no_more_is_not(database: Database) -> None:
    load(database, things(brand=Text()), {"title": "red lamp", "brand": "Böck"}, {"title": "chair", "brand": "Lampe"})
    searched = things(brand=Text(search=True))
    assert titles(database, searched, "BÖCK") == ["red lamp"]
    assert titles(database, searched, "lamp") == ["red lamp", "chair"]
    other = resources("Thing", title=Text(required=True, max_length=50, order=True), brand=Text(search=True))
    assert titles(database, other, "lamp") == ["chair"]
    without = resources("Thing", title=Text(required=True, max_length=50, order=True), brand=Text())
    prepare(database, without)
    assert titles(database, things(brand=Text()), "red") == ["red lamp"]


@pytest.mark.parametrize(
    ("before", "after", "says", "key"),
    [
        ({"size": Integer()}, {}, "Thing does not declare size, which has a value in 2 records", "things.size"),
        (
            {"size": Integer()},
            {"size": Integer(maximum=1)},
            "Thing.size has other limits now: 1 record would break them",
            "things.size",
        ),
        (
            {"size": Text()},
            {"size": Choice("A")},
            "Thing.size has other limits now: 1 record would break them",
            "things.size",
        ),
        ({"size": Money()}, {"size": Money(decimals=3)}, "Thing.size has 3 decimals now", "things.size_minor"),
    ],
)
def test_what_could_lose_data_stops_the_start_until_it_is_allowed(
    database: Database, before: dict[str, Any], after: dict[str, Any], says: str, key: str
) -> None:
    sizes: tuple[Any, Any] = ("A", "B") if isinstance(before["size"], Text) else (1, 2)
    records: list[dict[str, Any]] = [{"title": "a", "size": sizes[0]}, {"title": "b", "size": sizes[1]}, {"title": "c"}]
    load(database, things(**before), *records)
    kept = database.rows("SELECT * FROM things ORDER BY id")
    with pytest.raises(StoreError) as refused:
        prepare(database, things(**after))
    assert str(refused.value).startswith(says)
    assert f"migrate --allow {key}`" in str(refused.value)
    assert database.rows("SELECT * FROM things ORDER BY id") == kept
    prepare(database, things(**before))
    prepare(database, things(**after), key)
    prepare(database, things(**after))
    assert database.rows("SELECT title FROM things ORDER BY id") == [("a",), ("b",), ("c",)]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ({}, {"size": Integer(required=True)}, "Thing.size is new and required, and has no value in 3 records"),
        ({"size": Integer()}, {"size": Integer(required=True)}, "Thing.size is required, and has no value in 1 record"),
        ({"size": Integer()}, {"size": Integer(unique=True)}, "Thing.size is unique now, and 1 value such as 5 are in"),
        ({"size": Integer()}, {"size": Text()}, "Thing.size is Text now, which is stored in another form than before"),
    ],
)
def test_what_the_rows_do_not_allow_stops_the_start(
    database: Database, before: dict[str, Any], after: dict[str, Any], says: str
) -> None:
    sizes: list[dict[str, Any]] = [{"size": 5}, {"size": 5}, {}] if before else [{}] * 3
    load(database, things(**before), *({"title": "a", **size} for size in sizes))
    with pytest.raises(StoreError) as refused:
        prepare(database, things(**after))
    assert str(refused.value).startswith(says)
    prepare(database, things(**before))


def test_wider_limits_optional_fields_and_dropped_indexes_are_applied(database: Database) -> None:
    narrow = things(size=Integer(required=True, minimum=1, maximum=5, unique=True, order=True))
    load(database, narrow, {"title": "a", "size": 1}, {"title": "b", "size": 5})
    wide = resources("Thing", title=Text(max_length=500, search=True, order=True), size=Integer(order=True))
    prepare(database, wide)
    load(database, wide, {"size": 5}, {"title": "x" * 400, "size": -7})
    assert database.rows("SELECT title, size FROM things WHERE id < 4 ORDER BY id") == [("a", 1), ("b", 5), (None, 5)]
    assert "things_unique_size" not in dict(database.indexes())
    assert titles(database, wide, "xxx") == ["x" * 400]


def test_required_is_applied_where_every_row_has_a_value_or_there_is_a_default(database: Database) -> None:
    load(database, things(size=Integer(), kind=Text()), {"title": "a", "size": 1}, {"title": "b", "size": 2})
    declared = things(size=Integer(required=True, unique=True), kind=Text(required=True, default="new"))
    prepare(database, declared)
    assert database.rows("SELECT size, kind FROM things ORDER BY id") == [(1, "new"), (2, "new")]
    with pytest.raises(Exception, match=r"(?i)null"):
        database.rows("UPDATE things SET size = NULL")


def test_the_catalogue_of_the_first_version_takes_wider_limits(database: Database) -> None:
    load(database, RESOURCES, {"title": "Lamp", "price": 1.0, "rating_rate": 5.0})
    members = {name: field for name, field in compiled(_product()).fields.items() if name != "rating_rate"}
    declared = resources("Product", **members, rating_rate=Number(minimum=0, maximum=10))
    load(database, declared, {"title": "Chair", "price": 1.0, "rating_rate": 9.5})
    assert database.rows("SELECT title, rating_rate FROM products ORDER BY id") == [("Lamp", 5.0), ("Chair", 9.5)]
    with pytest.raises(StoreError, match=r"Product.rating_rate has other limits now: 1 record would break them"):
        prepare(database, RESOURCES)


def _product() -> Any:
    from product_types import Product

    return Product


def test_a_resource_that_is_not_declared_any_more_keeps_its_table(database: Database) -> None:
    both = Resources([resource("Thing", title=Text()), resource("Other", title=Text())])
    prepare(database, both)
    load(database, resources("Thing", title=Text()), {"title": "a"})
    prepare(database, Resources([]))
    assert database.rows("SELECT title FROM things") == [("a",)]
    assert database.rows("SELECT title FROM others") == []
    prepare(database, both)
    assert database.rows("SELECT title FROM things") == [("a",)]


def test_records_do_not_vanish_when_the_name_of_their_table_changes(database: Database) -> None:
    load(database, things(), {"title": "a"})
    moved = Resources([ResourceType("Thing", (Resource,), {"title": Text()}, plural="goods")])  # type: ignore[list-item]
    with pytest.raises(StoreError, match='Thing has its records in the table things: give table="things"'):
        prepare(database, moved)
    members = {"title": Text(required=True, max_length=50, search=True, order=True)}
    renamed = Resources([ResourceType("Item", (Resource,), members, table="things")])  # type: ignore[list-item]
    prepare(database, renamed)
    assert database.rows("SELECT title FROM things") == [("a",)]
    assert database.rows("SELECT name FROM resources WHERE table_name = 'things'") == [("Item",)]


def test_every_change_that_may_not_be_done_is_said_at_once_and_nothing_is_changed(database: Database) -> None:
    load(database, things(a=Integer(), b=Text(), c=Text()), {"title": "x", "a": 1, "c": " "}, {"title": "y"})
    before = database.rows("SELECT * FROM things ORDER BY id"), database.indexes()
    with pytest.raises(StoreError) as refused:
        prepare(database, things(a=Integer(required=True), b=Text(required=True), d=Integer(required=True)), "things.x")
    assert sorted(line.partition(",")[0] for line in str(refused.value).splitlines()) == [
        "--allow names 'things.x'",
        "Thing does not declare c",
        "Thing.a is required",
        "Thing.b is required",
        "Thing.d is new and required",
    ]
    assert (database.rows("SELECT * FROM things ORDER BY id"), database.indexes()) == before
    with pytest.raises(StoreError, match=r"Thing.c has other limits now: 1 record would break them"):
        prepare(database, things(a=Integer(), b=Text(), c=Text(required=True, default="z")))


@pytest.mark.one_database("of PostgreSQL only")
def test_a_load_may_refer_to_records_that_exist_only(database: Database) -> None:
    declared = Resources([Owner, Pet])
    prepare(database, declared)
    pets = [declared["Pet"].stored_values(declared["Pet"].check_new({"owner_id": 1})[0])]
    with closing(open_loader(database.settings(), declared, declared["Pet"])) as loader:
        none = "1 row with owner_id such as 1, and there is no such Owner"
        with pytest.raises(StoreError, match=none), loader.load() as loading:
            loading.insert(pets)
    assert database.rows("SELECT count(*) FROM pets") == [(0,)]
    for name, rows in (("Owner", [("Ann",)]), ("Pet", pets)):
        with closing(open_loader(database.settings(), declared, declared[name])) as loader, loader.load() as loading:
            loading.insert(rows)
    assert database.rows("SELECT owner_id FROM pets") == [(1,)]


def test_numbers_become_a_reference_only_where_each_is_the_id_of_a_record(database: Database) -> None:
    owner, before = resource("Owner", name=Text(max_length=9)), resource("Pet", owner_id=Integer())
    declared = Resources([owner, before])
    prepare(database, declared)
    with closing(open_loader(database.settings(), declared, declared["Pet"])) as loader, loader.load() as loading:
        loading.insert([(1,), (2,), (None,)])
    referring = Resources([owner, resource("Pet", owner=Reference(owner))])
    with pytest.raises(StoreError, match=r"Pet.owner_id refers to Owner now, and 2 records to none: correct these"):
        prepare(database, referring)
    with closing(open_loader(database.settings(), declared, declared["Owner"])) as loader, loader.load() as loading:
        loading.insert([("Ann",), ("Ben",)])
    prepare(database, referring)
    assert any(name == "pets_by_owner_id" for name, _definition in database.indexes())


def test_one_of_several_processes_changes_the_tables(fleet: Fleet) -> None:
    settings, declared = (
        Settings(database_url=fleet.url),
        things(brand=Text(max_length=9, search=True, unique=True), size=Integer()),
    )
    prepare_stores(settings, things())
    with ThreadPoolExecutor(6) as pool:
        for one in [pool.submit(prepare_stores, settings, declared) for _ in range(6)]:
            one.result()
    [(recorded,)] = fleet.rows("SELECT declaration FROM afterwrite.resources WHERE name = 'Thing'")
    assert json.loads(recorded)["fields"].keys() == {"title", "brand", "size"}


def test_names_of_tables_and_columns_may_be_words_of_sql(database: Database) -> None:
    members = {
        "order": Text(max_length=9, filter="equal", facet="orders_of_it"),
        "group": Integer(order=True, unique=True),
    }
    declared = Resources([ResourceType("Select", (Resource,), members, table="selects", plural="selections")])  # type: ignore[list-item]
    load(database, declared, {"order": "a", "group": 1})
    assert database.rows('SELECT "order", "group" FROM selects') == [("a", 1)]


def test_the_longest_text_that_an_index_takes_is_stored(database: Database) -> None:
    declared = things(name=Text(max_length=650, unique=True, order=True, filter="equal"))
    random = Random(1)
    longest = "".join(chr(random.randrange(0x20000, 0x2A000)) for _ in range(650))  # four bytes each, as 650 others
    load(database, declared, {"title": "a", "name": longest})
    assert database.rows("SELECT name FROM things") == [(longest,)]
