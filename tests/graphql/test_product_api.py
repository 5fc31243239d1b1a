"""The API as existing clients use it, over HTTP against a real server."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from databases import Database
from server_process import ServerProcess

FIELDS = "id title price description category image rating"
CREATE_SYNC = """
mutation ($title: String!, $price: Float!, $description: String, $category: String, $image: String,
          $ratingRate: Float, $ratingCount: Int) {
  createProductSync(title: $title, price: $price, description: $description, category: $category,
                    image: $image, ratingRate: $ratingRate, ratingCount: $ratingCount) {
    success message product { id version } errors { field message code }
    write { id operation status productId error { code message } acceptedAt settledAt }
  }
}
"""


@pytest.fixture(scope="module")
def api(module_database: Database) -> Iterator[ServerProcess]:
    """One server for all tests of this file; each test works on products of its own."""
    server = ServerProcess.on(module_database, WAIT_SECONDS="5").start()
    yield server
    server.kill()


def create(api: ServerProcess, title: str, price: float = 1.5, **fields: Any) -> str:
    """Create a product, wait until it is applied, and return its id."""
    answer = api.query(CREATE_SYNC, {"title": title, "price": price, **fields})["createProductSync"]
    assert answer["success"], answer
    return str(answer["product"]["id"])


def only_event(api: ServerProcess, document: str, variables: dict[str, Any]) -> Any:
    """The data of the one event of a subscription, which then completes."""
    body = json.dumps({"query": document, "variables": variables}).encode()
    with contextlib.closing(api.client()) as client:
        status, stream = client.request(
            "POST", "/graphql", body, {"Content-Type": "application/json", "Accept": "text/event-stream"}
        )
    assert status == 200
    events = stream.decode().split("\n\n")
    [data] = [event for event in events if event.startswith("event: next")]
    assert any(event.startswith("event: complete") for event in events)
    return json.loads(data.partition("data: ")[2])["data"]


def test_the_documents_of_existing_clients_work_as_they_stand(api: ServerProcess) -> None:
    answer = api.query(
        'mutation { createProduct(title: "MacBook Pro M3", price: 2399.99, description: "14-inch Liquid '
        'Retina XDR display", category: "Laptops", image: "https://example.com/macbook.jpg", '
        "ratingRate: 4.8, ratingCount: 342) { success message } }"
    )
    assert answer == {"createProduct": {"success": True, "message": "Product 'MacBook Pro M3' queued for creation"}}
    sync = api.query('mutation { createProductSync(title: "Sony Headphones", price: 379.99) { product { id title } } }')
    assert sync["createProductSync"]["product"]["title"] == "Sony Headphones"
    found = api.query(f'query {{ allProducts(search: "laptop", first: 10, skip: 0) {{ {FIELDS} }} }}')
    assert found["allProducts"] == [
        {
            "id": "1",
            "title": "MacBook Pro M3",
            "price": 2399.99,
            "description": "14-inch Liquid Retina XDR display",
            "category": "Laptops",
            "image": "https://example.com/macbook.jpg",
            "rating": {"rate": 4.8, "count": 342},
        }
    ]
    assert api.query(f"query {{ product(productId: 1) {{ {FIELDS} }} }}")["product"] == found["allProducts"][0]
    updated = api.query(
        'mutation { updateProduct(productId: 1, title: "Updated Title", price: 1999.99) '
        "{ success message write { id } } }"
    )["updateProduct"]
    assert updated["success"]
    after = api.query(
        "query ($w: ID) { product(productId: 1, afterWrite: $w) { title price version } }",
        {"w": updated["write"]["id"]},
    )
    assert after["product"] == {"title": "Updated Title", "price": 1999.99, "version": 2}


def test_a_receipt_moves_from_queued_to_applied(api: ServerProcess) -> None:
    receipt = api.query(
        'mutation { createProduct(title: "Lamp", price: 12.5) { write { id operation status productId '
        "product { id } error { code } acceptedAt settledAt } errors { code } } }"
    )["createProduct"]
    assert receipt["errors"] == []
    write = receipt["write"]
    assert (write["operation"], write["status"], write["settledAt"]) == ("CREATE", "QUEUED", None)
    product = api.query(
        "query ($p: ID!, $w: ID) { product(productId: $p, afterWrite: $w) { id title } }",
        {"p": write["productId"], "w": write["id"]},
    )["product"]
    assert product == {"id": write["productId"], "title": "Lamp"}
    settled = api.query(
        "query ($id: ID!) { write(id: $id) { status settledAt product { title } } }", {"id": write["id"]}
    )["write"]
    assert settled["status"] == "APPLIED"
    assert settled["settledAt"] > write["acceptedAt"]
    assert settled["product"] == {"title": "Lamp"}


def test_ids_are_accepted_as_number_and_as_text(api: ServerProcess) -> None:
    number = create(api, "Number")
    for literal in (number, f'"{number}"'):
        assert api.query(f"{{ product(productId: {literal}) {{ title }} }}")["product"] == {"title": "Number"}


@pytest.mark.parametrize(("declared", "read"), [("Int", int), ("String", str), ("ID", int), ("ID", str)])
def test_a_variable_for_an_id_may_be_declared_as_what_it_is_sent_as(
    api: ServerProcess, declared: str, read: Callable[[str], int | str]
) -> None:
    number = read(create(api, "Declared"))
    change = f"""mutation ($id: {declared}!) {{ updateProduct(productId: $id, title: "New") {{ write {{ id }} }} }}"""
    write = read(api.query(change, {"id": number})["updateProduct"]["write"]["id"])
    seen = f"""query ($id: {declared}!, $write: {declared}) {{
        product(productId: $id, afterWrite: $write) {{ title }}
        writes(productId: $id, first: 1) {{ nodes {{ id }} }} }}"""
    answer = api.query(seen, {"id": number, "write": write})
    assert answer == {"product": {"title": "New"}, "writes": {"nodes": [{"id": str(write)}]}}
    settled = f"subscription ($id: {declared}!) {{ writeSettled(id: $id) {{ id status }} }}"
    assert only_event(api, settled, {"id": write}) == {"writeSettled": {"id": str(write), "status": "APPLIED"}}


@pytest.mark.parametrize(
    ("fields", "path", "code"),
    [
        ({"title": ""}, "title", "REQUIRED"),
        ({"title": " \n"}, "title", "REQUIRED"),
        ({"title": "x" * 301}, "title", "TOO_LONG"),
        ({"title": "nul\0"}, "title", "INVALID_TEXT"),
        ({"price": -0.01}, "price", "OUT_OF_RANGE"),
        ({"price": 1e300}, "price", "OUT_OF_RANGE"),
        ({"price": 1.999}, "price", "TOO_MANY_DECIMALS"),
        ({"ratingRate": 5.1}, "ratingRate", "OUT_OF_RANGE"),
        ({"ratingRate": -0.1}, "ratingRate", "OUT_OF_RANGE"),
        ({"ratingCount": -1}, "ratingCount", "OUT_OF_RANGE"),
        ({"image": "ftp://example.com/x.jpg"}, "image", "INVALID_URL"),
        ({"image": "javascript:alert(1)"}, "image", "INVALID_URL"),
        ({"image": "https://"}, "image", "INVALID_URL"),
        ({"description": "x" * 10_001}, "description", "TOO_LONG"),
        ({"category": "x" * 101}, "category", "TOO_LONG"),
    ],
)
def test_bad_arguments_are_refused_before_they_are_queued(
    api: ServerProcess, fields: dict[str, Any], path: str, code: str
) -> None:
    before = api.query("{ writes(first: 1) { nodes { id } } }")
    answer = api.query(CREATE_SYNC, {"title": "Fine", "price": 1, **fields})["createProductSync"]
    assert (answer["success"], answer["write"], answer["product"]) == (False, None, None)
    assert [(error["field"], error["code"]) for error in answer["errors"]] == [([path], code)]
    assert answer["message"].startswith("Nothing was queued: ")
    assert api.query("{ writes(first: 1) { nodes { id } } }") == before


def test_an_infinite_price_in_the_document_is_refused(api: ServerProcess) -> None:
    answer = api.query('mutation { createProduct(title: "x", price: 1e999) { success errors { code } } }')
    assert answer["createProduct"] == {"success": False, "errors": [{"code": "NOT_FINITE"}]}


@pytest.mark.parametrize("name", ["price", "ratingRate"])
def test_a_number_that_a_float_would_hold_as_zero_is_refused_and_not_stored_as_zero(
    api: ServerProcess, name: str
) -> None:
    before = api.query("{ writes(first: 1) { nodes { id } } }")
    fields = {"price": "1", name: "1e-400"}
    arguments = ", ".join(f"{field}: {value}" for field, value in fields.items())
    document = f'mutation {{ createProduct(title: "x", {arguments}) {{ success }} }}'
    with contextlib.closing(api.client()) as client:
        [error] = client.execute(document)["errors"]
        body = json.dumps({"query": CREATE_SYNC, "variables": {"title": "x", "price": 1, name: 1}})
        sent = re.sub(rf'"{name}": 1', f'"{name}": 1e-400', body).encode()
        _, answer = client.request("POST", "/graphql", sent, {"Content-Type": "application/json"})
    assert error["message"].startswith("The number 1e-400 is too small")
    assert b"the number 1e-400 is too small" in answer
    assert api.query("{ writes(first: 1) { nodes { id } } }") == before


def test_every_bad_argument_is_named_at_once(api: ServerProcess) -> None:
    answer = api.query(CREATE_SYNC, {"title": "", "price": -1, "ratingRate": 9})["createProductSync"]
    assert [error["field"] for error in answer["errors"]] == [["title"], ["price"], ["ratingRate"]]


@pytest.mark.parametrize("price", [0, 0.01, 0.1, 0.29, 1.1, 19.99, 1234567.89, 99_999_999_999.99, 100_000_000_000])
def test_prices_are_held_exactly(api: ServerProcess, price: float) -> None:
    number = create(api, "Exact", price)
    assert api.query(f"{{ product(productId: {number}) {{ price }} }}")["product"]["price"] == price


def test_an_update_takes_every_field_and_can_empty_an_optional_one(api: ServerProcess) -> None:
    number = create(api, "Old", description="d", category="c", image="https://a.b/c.png", ratingRate=1)
    update = f"""mutation {{ updateProduct(productId: {number}, title: "New", price: 2, description: null,
        category: "other", image: null, ratingRate: null, ratingCount: 3) {{ success write {{ id }} }} }}"""
    write = api.query(update)["updateProduct"]["write"]["id"]
    product = api.query(
        f"{{ product(productId: {number}, afterWrite: {write}) {{ title price description category image "
        "rating ratingRate ratingCount version createdAt updatedAt } }"
    )["product"]
    created_at, updated_at = product.pop("createdAt"), product.pop("updatedAt")
    assert updated_at > created_at
    assert product == {
        "title": "New",
        "price": 2.0,
        "description": None,
        "category": "other",
        "image": None,
        "rating": {"rate": None, "count": 3},
        "ratingRate": None,
        "ratingCount": 3,
        "version": 2,
    }
    for wrong in ("title: null", "price: null"):
        refused = api.query(f"mutation {{ updateProduct(productId: {number}, {wrong}) {{ success }} }}")
        assert refused["updateProduct"] == {"success": False}
    nothing = api.query(f"mutation {{ updateProduct(productId: {number}) {{ success errors {{ field code }} }} }}")
    assert nothing["updateProduct"]["errors"] == [{"field": None, "code": "NOTHING_TO_CHANGE"}]


def test_a_delete_removes_the_product_and_a_later_update_fails(api: ServerProcess) -> None:
    number = create(api, "Short-lived")
    answer = api.query(
        f"mutation {{ deleteProduct(productId: {number}) {{ success message }} "
        f"updateProduct(productId: {number}, price: 1) {{ write {{ id }} }} }}"
    )
    assert answer["deleteProduct"] == {"success": True, "message": f"Product {number} queued for deletion"}
    write = answer["updateProduct"]["write"]["id"]
    assert api.query(f"{{ product(productId: {number}, afterWrite: {write}) {{ id }} }}")["product"] is None
    failed = api.query(f"{{ write(id: {write}) {{ status error {{ code message }} product {{ id }} }} }}")["write"]
    assert (failed["status"], failed["error"]["code"]) == ("FAILED", "PRODUCT_NOT_FOUND")
    assert number in failed["error"]["message"]
    listed = api.query("{ writes(status: FAILED, first: 500) { nodes { id status } } }")["writes"]["nodes"]
    assert {"id": write, "status": "FAILED"} in listed
    retried = api.query(f"mutation {{ retryWrite(id: {write}) {{ success write {{ id retryOf }} }} }}")["retryWrite"]
    assert retried["write"]["retryOf"] == write
    assert int(retried["write"]["id"]) > int(write)


def test_only_a_failed_write_can_be_queued_again(api: ServerProcess) -> None:
    write = api.query(CREATE_SYNC, {"title": "Fine", "price": 1})["createProductSync"]["write"]["id"]
    for identifier, code in ((write, "WRITE_NOT_FAILED"), ("12345", "WRITE_NOT_FOUND"), ("abc", "WRITE_NOT_FOUND")):
        answer = api.query(f'mutation {{ retryWrite(id: "{identifier}") {{ success errors {{ field code }} }} }}')
        assert answer["retryWrite"] == {"success": False, "errors": [{"field": ["id"], "code": code}]}


def test_many_products_are_created_in_one_request_or_none(api: ServerProcess) -> None:
    document = """mutation ($products: [ProductInput!]!, $key: String) { createProducts(products: $products,
        idempotencyKey: $key) { success message writes { id productId } errors { field code } } }"""
    products = [{"title": f"Many {number}", "price": number} for number in range(1000)]
    answer = api.query(document, {"products": products})["createProducts"]
    assert (answer["success"], answer["message"]) == (True, "1,000 products queued for creation")
    ids = [int(write["id"]) for write in answer["writes"]]
    assert ids == list(range(ids[0], ids[0] + 1000))
    last = answer["writes"][-1]
    product = api.query(
        "query ($p: ID!, $w: ID) { product(productId: $p, afterWrite: $w) { title } }",
        {"p": last["productId"], "w": last["id"]},
    )["product"]
    assert product == {"title": "Many 999"}
    products[7]["price"] = -1
    refused = api.query(document, {"products": products[:10]})["createProducts"]
    assert (refused["success"], refused["writes"]) == (False, [])
    assert refused["errors"] == [{"field": ["products", "7", "price"], "code": "OUT_OF_RANGE"}]
    for wrong in ([], [{"title": "x", "price": 1}] * 1001):
        too = api.query(document, {"products": wrong})["createProducts"]
        assert too["errors"] == [{"field": ["products"], "code": "WRONG_NUMBER"}]


def test_the_same_key_gives_the_same_receipt_and_other_arguments_are_refused(api: ServerProcess) -> None:
    document = """mutation ($title: String!, $key: String) { createProduct(title: $title, price: 1,
        idempotencyKey: $key) { success write { id productId } errors { field code } } }"""

    def send(title: str) -> Any:
        return api.query(document, {"title": title, "key": "key-1"})["createProduct"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, ["Keyed"] * 16))
    assert all(answer == answers[0] and answer["success"] for answer in answers)
    refused = send("Other")
    assert (refused["success"], refused["errors"]) == (False, [{"field": None, "code": "IDEMPOTENCY_KEY_REUSED"}])
    many = """mutation ($key: String) { createProducts(idempotencyKey: $key,
        products: [{title: "A", price: 1}, {title: "B", price: 2}]) { success writes { id } } }"""
    first, again = (api.query(many, {"key": "key-2"})["createProducts"] for _ in range(2))
    assert first == again
    assert len(first["writes"]) == 2
    for bad in ("", "x" * 256, "\0"):
        answer = api.query(document, {"title": "x", "key": bad})["createProduct"]
        assert answer["errors"] == [{"field": ["idempotencyKey"], "code": "INVALID_KEY"}]


def test_a_key_keeps_a_sync_create_and_a_retry_from_being_done_twice(api: ServerProcess) -> None:
    document = """mutation { createProductSync(title: "Keyed sync", price: 1, idempotencyKey: "sync") {
        success product { id } write { id status } } }"""
    first, again = (api.query(document)["createProductSync"] for _ in range(2))
    assert first == again
    assert (first["success"], first["write"]["status"]) == (True, "APPLIED")
    failed = api.query("mutation { deleteProduct(productId: 987654) { write { id } } }")["deleteProduct"]
    number = failed["write"]["id"]
    api.query(f"{{ product(productId: 1, afterWrite: {number}) {{ id }} }}")
    retry = f'mutation {{ retryWrite(id: {number}, idempotencyKey: "retry") {{ write {{ id }} }} }}'
    first, again = (api.query(retry)["retryWrite"] for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ("{ allProducts(first: 501) { id } }", "first is 501: give 0 to 500"),
        ("{ allProducts(first: -1) { id } }", "first is -1: give 0 to 500"),
        ("{ allProducts(skip: -1) { id } }", "skip is -1: give 0 or more"),
        ('{ product(productId: "x") { id } }', "productId is 'x': give a whole number"),
        ("{ product(productId: 99999999999999999999) { id } }", "give a whole number"),
        ("{ product(productId: 1, afterWrite: 9223372036854775806) { id } }", "there is no such write"),
        ("{ products(first: 1, last: 1) { totalCount } }", "not both"),
        ('{ products(after: "abc") { totalCount } }', "give a cursor that the API answered"),
        ("{ products(minPrice: 1.234) { totalCount } }", "at most two decimals"),
        ('{ products(search: "%s") { totalCount } }' % ("x" * 201), "200 are the limit"),
        ("{ products(last: -1) { totalCount } }", "last is -1: give 0 to 500"),
        ("{ writes(first: 501) { nodes { id } } }", "first is 501: give 0 to 500"),
    ],
)
def test_a_query_that_asks_wrong_is_told_what_to_do(api: ServerProcess, document: str, part: str) -> None:
    with contextlib.closing(api.client()) as client:
        [error] = client.execute(document)["errors"]
    assert part in error["message"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


def test_categories_are_counted(api: ServerProcess) -> None:
    for number in range(3):
        create(api, f"Counted {number}", category="Counted things")
    assert {"name": "Counted things", "count": 3} in api.query("{ categories { name count } }")["categories"]


def test_the_connection_filters_orders_and_pages(api: ServerProcess) -> None:
    for price in (30, 10, 20, 20):
        create(api, f"Paged thing {price}", price, category="Paged")
    document = """query ($after: String) { products(category: "Paged", search: "PAGED thing", minPrice: 10,
        maxPrice: 25, orderBy: PRICE_DESC, first: 2, after: $after) { totalCount nodes { price }
        edges { cursor node { title } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
    first = api.query(document)["products"]
    assert (first["totalCount"], first["nodes"]) == (3, [{"price": 20.0}, {"price": 20.0}])
    assert first["pageInfo"]["hasNextPage"]
    assert not first["pageInfo"]["hasPreviousPage"]
    second = api.query(document, {"after": first["pageInfo"]["endCursor"]})["products"]
    assert second["nodes"] == [{"price": 10.0}]
    assert second["pageInfo"]["hasPreviousPage"]
    assert not second["pageInfo"]["hasNextPage"]


def test_a_subscription_tells_when_the_write_is_settled(api: ServerProcess) -> None:
    write = api.query('mutation { createProduct(title: "Watched", price: 1) { write { id } } }')
    number = write["createProduct"]["write"]["id"]
    document = "subscription ($id: ID!) { writeSettled(id: $id) { id status product { title } } }"
    settled = only_event(api, document, {"id": number})["writeSettled"]
    assert settled == {"id": number, "status": "APPLIED", "product": {"title": "Watched"}}


def test_the_queue_and_the_operations_routes_answer(api: ServerProcess) -> None:
    create(api, "Counted")
    queue = api.query("{ queue { depth bytes oldestAgeMs appliedTotal failedTotal writesPerSecond state } }")["queue"]
    assert queue["appliedTotal"] >= 1
    assert queue["depth"] == 0
    status, health = api.get("/health")
    assert status == 200
    assert json.loads(health)["status"] == "ok"
    assert api.get("/ready")[0] == 200
    _status, metrics = api.get("/metrics")
    assert re.search(rb"afterwrite_queue_depth({.*})? 0.0", metrics)
    assert re.search(rb'afterwrite_writes_total{.*status="APPLIED".*}', metrics)


def test_a_sync_create_that_takes_too_long_keeps_its_receipt(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", WAIT_SECONDS="0").start()
    try:
        answer = server.query(CREATE_SYNC, {"title": "Late", "price": 1})["createProductSync"]
        assert not answer["success"]
        assert [error["code"] for error in answer["errors"]] == ["WRITE_PENDING"]
        assert answer["write"]["status"] == "QUEUED"
        with contextlib.closing(server.client()) as client:
            late = client.execute('mutation { createProduct(title: "Later", price: 1) { write { id } } }')["data"][
                "createProduct"
            ]["write"]["id"]
            answered = client.execute(f"{{ product(productId: 2, afterWrite: {late}) {{ title }} }}")
        pending = "errors" in answered and answered["errors"][0]["extensions"]["code"] == "WRITE_PENDING"
        assert pending or answered["data"]["product"] == {"title": "Later"}
        server.stop()
        assert server.start().query("{ allProducts { title } }")["allProducts"] == [
            {"title": "Late"},
            {"title": "Later"},
        ]
    finally:
        server.kill()
