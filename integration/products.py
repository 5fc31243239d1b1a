"""Tests products and receipts over HTTP; what a run makes it deletes again."""

import json
import secrets
from collections.abc import Callable
from typing import Any

from integration.api import Api, expect

PAGE = 500
NOWHERE = 9_007_199_254_740_991  # a product id that no catalogue reaches

# The documents of existing clients, exactly as they send them.
ALL_PRODUCTS = (
    'query { allProducts(search: "laptop", first: 10, skip: 0)'
    " { id title price description category image rating } }"
)
PRODUCT = "query { product(productId: 1) { id title price description category image rating } }"
CREATE = (
    'mutation { createProduct(title: "MacBook Pro M3", price: 2399.99, '
    'description: "14-inch Liquid Retina XDR display", category: "Laptops", '
    'image: "https://example.com/macbook.jpg", ratingRate: 4.8, ratingCount: 342) { success message } }'
)
CREATE_SYNC = (
    'mutation { createProductSync(title: "Sony Headphones", price: 379.99) { product { id title } } }'
)
UPDATE = (
    'mutation { updateProduct(productId: 1, title: "Updated Title", price: 1999.99) { success message } }'
)
EXACT_TITLES = ("MacBook Pro M3", "Sony Headphones")

FIELDS = "id title price description category image rating"
ALL_FIELDS = f"{FIELDS} ratingRate ratingCount createdAt updatedAt version"
ANSWER = "success message errors { field message code } write { id operation status productId }"
CREATE_WITH_KEY = f"""mutation ($title: String!, $price: Float!, $key: String) {{
  createProduct(title: $title, price: $price, idempotencyKey: $key) {{ {ANSWER} }} }}"""
CREATE_MANY = """mutation ($products: [ProductInput!]!) {
  createProducts(products: $products) { success errors { message } writes { id productId status } } }"""
RECEIPT = """query ($id: ID!) { write(id: $id) { id operation status productId product { id title }
  error { code message } acceptedAt settledAt } }"""
SEARCH = f"""query ($term: String, $first: Int, $skip: Int, $after: ID) {{
  allProducts(search: $term, first: $first, skip: $skip, afterWrite: $after) {{ {FIELDS} }} }}"""
GET_AFTER = (
    f"""query ($id: ID!, $after: ID) {{ product(productId: $id, afterWrite: $after) {{ {ALL_FIELDS} }} }}"""
)
DELETE = "mutation ($id: ID!) { deleteProduct(productId: $id) { success message write { id status } } }"
CONNECTION = """query ($term: String, $first: Int, $after: String, $last: Int, $before: String, $write: ID) {
  products(search: $term, first: $first, after: $after, last: $last, before: $before, afterWrite: $write) {
    totalCount edges { cursor node { id title } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


class Shop:
    """The test products of one run: made with a tag of their own, found by it, and deleted at the end."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.tag = f"itest{secrets.token_hex(5)}"
        self._there_before = {title: self._ids_of(title) for title in EXACT_TITLES}

    def title(self, name: str) -> str:
        """Return a title that only this run uses."""
        return f"{name} {self.tag}"

    def make(self, name: str, key: str | None = None) -> Any:
        """Create a product, answered at once; return its payload."""
        payload = self.api.data(CREATE_WITH_KEY, title=self.title(name), price=10.5, key=key)["createProduct"]
        expect(payload["success"], f"createProduct was refused: {payload}")
        return payload

    def find(self, **variables: Any) -> Any:
        """Return the products that a search finds; `after` waits for that write first."""
        return self.api.data(SEARCH, **variables)["allProducts"]

    def new_products(self) -> list[str]:
        """Return the ids of every product that this run made and that is still there."""
        ids = [found["id"] for found in self.pages(self.tag)]
        for title, before in self._there_before.items():
            ids += list(self._ids_of(title) - before)[:1]  # each exact document is sent once
        return ids

    def clear(self) -> None:
        """Delete what this run made; Failed if something is left."""
        # Writes apply in order: when this create is applied, so is every one before it.
        document = (
            "mutation ($t: String!) { createProductSync(title: $t, price: 1) { message product { id } } }"
        )
        payload = self.api.data(document, t=self.tag)["createProductSync"]
        expect(payload["product"], f"test products may be left behind, the queue is slow: {payload}")
        last = None
        for product_id in self.new_products():
            last = self.api.data(DELETE, id=product_id)["deleteProduct"]["write"]["id"]
        left = self.find(term=self.tag, first=1, after=last) + self.new_products()
        expect(not left, f"test products are left behind: {left}")

    def _ids_of(self, title: str) -> set[str]:
        return {found["id"] for found in self.pages(title) if found["title"] == title}

    def pages(self, term: str) -> list[Any]:
        """Return every product that a search finds, page by page."""
        found: list[Any] = []
        while True:
            page = self.find(term=term, first=PAGE, skip=len(found))
            found += page
            if len(page) < PAGE:
                return found


def health_check(shop: Shop) -> None:
    status, health = shop.api.get("/health")
    expect(status == 200, f"status {status}, not 200: {health}")
    expect(health["status"] == "ok", f"the server is not well: {health}")
    expect("version" in health and health["queue"]["depth"] >= 0, f"version or queue is missing: {health}")


def async_create(shop: Shop) -> None:
    payload = shop.api.data(CREATE)["createProduct"]
    expected = {"success": True, "message": "Product 'MacBook Pro M3' queued for creation"}
    expect(payload == expected, f"{payload}, not {expected}")


def sync_create(shop: Shop) -> None:
    product = shop.api.data(CREATE_SYNC)["createProductSync"]["product"]
    expect(product["title"] == "Sony Headphones", f"another product came back: {product}")
    stored = shop.api.data(GET_AFTER, id=product["id"])["product"]
    expect(stored and stored["price"] == 379.99, f"not stored when it was answered: {stored}")


def the_async_create_is_applied_with_all_fields(shop: Shop) -> None:
    # The sync create came after it, so it has to be there by now.
    found = shop.pages("MacBook Pro M3")
    expected = {
        "title": "MacBook Pro M3",
        "price": 2399.99,
        "description": "14-inch Liquid Retina XDR display",
        "category": "Laptops",
        "image": "https://example.com/macbook.jpg",
        "rating": {"rate": 4.8, "count": 342},
    }
    expect(any(expected.items() <= one.items() for one in found), f"no product has {expected}: {found}")


def queries_with_all_fields(shop: Shop) -> None:
    page = shop.api.data(ALL_PRODUCTS)["allProducts"]
    expect(len(page) <= 10, f"{len(page)} products on a page of 10")
    names = set(FIELDS.split())
    expect(all(set(one) == names for one in page), f"fields are missing: {page}")
    one = shop.api.data(PRODUCT)["product"]
    expect(one is None or (one["id"] == "1" and set(one) == names), f"product 1 is {one}")
    write = shop.make("Every field")["write"]
    product = shop.api.data(GET_AFTER, id=int(write["productId"]), after=write["id"])["product"]
    expect(product["version"] == 1 and product["createdAt"] == product["updatedAt"], f"unexpected: {product}")
    expect(product["ratingRate"] is None and product["rating"] is None, f"a rating from nowhere: {product}")


def async_update(shop: Shop) -> None:
    write = shop.make("Before the update")["write"]
    exact = UPDATE.replace("productId: 1,", f"productId: {write['productId']},")
    payload = shop.api.data(exact.replace("Updated Title", shop.title("Updated Title")))["updateProduct"]
    expect(payload["success"] and payload["message"], f"refused: {payload}")
    document = f"mutation ($id: ID!) {{ updateProduct(productId: $id, category: null) {{ {ANSWER} }} }}"
    second = shop.api.data(document, id=write["productId"])["updateProduct"]["write"]
    product = shop.api.data(GET_AFTER, id=write["productId"], after=second["id"])["product"]
    expect(product["title"] == shop.title("Updated Title"), f"the title is not updated: {product}")
    expect(product["price"] == 1999.99 and product["version"] == 3, f"the update is not applied: {product}")


def search(shop: Shop) -> None:
    write = shop.make("Zebra crossing")["write"]
    for term in (f"zebra crossing {shop.tag}", f"ZEBRA CROSSING {shop.tag}", f"bra crossing {shop.tag[:-1]}"):
        found = shop.find(term=term, first=10, after=write["id"])
        expect([one["id"] for one in found] == [write["productId"]], f"{term!r} finds {found}")
    missed = shop.find(term=f"zebra crossing {shop.tag}x", first=10)
    expect(missed == [], f"a term that is nowhere finds {missed}")
    expect(len(shop.find(term="ze", first=1)) == 1, "a term of two letters finds nothing")


def paging_with_skip(shop: Shop) -> None:
    made = [shop.make(f"Page {number} pager")["write"] for number in range(5)]
    pages = [
        [one["id"] for one in shop.find(term=f"pager {shop.tag}", first=2, skip=skip, after=made[-1]["id"])]
        for skip in (0, 2, 4, 6)
    ]
    expect([len(page) for page in pages] == [2, 2, 1, 0], f"pages of another size: {pages}")
    ids = [product_id for page in pages for product_id in page]
    expect(
        sorted(ids) == sorted(write["productId"] for write in made), f"pages overlap or leave out: {pages}"
    )
    answer = shop.api.answer(SEARCH, first=PAGE + 1)
    expect(
        str(PAGE) in str(answer.get("errors")), f"a page of {PAGE + 1} gets no error with the limit: {answer}"
    )


def receipts(shop: Shop) -> None:
    payload = shop.make("Receipt")
    write = payload["write"]
    expect(write["operation"] == "CREATE" and write["productId"], f"an incomplete receipt: {write}")
    shop.find(first=1, after=write["id"])
    receipt = shop.api.data(RECEIPT, id=write["id"])["write"]
    expect(receipt["status"] == "APPLIED" and receipt["error"] is None, f"not applied: {receipt}")
    expect(receipt["product"]["title"] == shop.title("Receipt"), f"another product: {receipt}")
    expect(receipt["acceptedAt"] <= receipt["settledAt"], f"settled before it was accepted: {receipt}")


def a_write_that_cannot_be_applied_fails_with_a_reason(shop: Shop) -> None:
    document = f'mutation {{ updateProduct(productId: "{NOWHERE}", title: "Nobody") {{ {ANSWER} }} }}'
    write = shop.api.data(document)["updateProduct"]["write"]
    shop.find(first=1, after=write["id"])
    receipt = shop.api.data(RECEIPT, id=write["id"])["write"]
    expect(receipt["status"] == "FAILED" and receipt["error"]["message"], f"not FAILED: {receipt}")


def idempotency(shop: Shop) -> None:
    key = shop.title("key")
    first, again = shop.make("Once", key), shop.make("Once", key)
    expect(first["write"]["id"] == again["write"]["id"], f"two receipts for one key: {first} {again}")
    other = shop.api.data(CREATE_WITH_KEY, title=shop.title("Twice"), price=1, key=key)["createProduct"]
    codes = [error["code"] for error in other["errors"]]
    expect(not other["success"] and codes == ["IDEMPOTENCY_KEY_REUSED"], f"a key used twice: {other}")
    found = shop.find(term=f"once {shop.tag}", first=10, after=first["write"]["id"])
    expect(len(found) == 1, f"{len(found)} products for one key")


def refused_arguments(shop: Shop) -> None:
    bad: list[tuple[str, Any]] = [("title", " "), ("price", -1), ("price", 1.005), ("image", "no address")]
    for field, value in [*bad, ("ratingRate", 5.1), ("ratingCount", -1)]:
        given = {"title": shop.title("Refused"), "price": 1, field: value}
        arguments = ", ".join(f"{name}: {json.dumps(given[name])}" for name in given)
        payload = shop.api.data(f"mutation {{ createProduct({arguments}) {{ {ANSWER} }} }}")["createProduct"]
        expect(
            not payload["success"] and payload["write"] is None, f"{field}={value!r} is accepted: {payload}"
        )
        error = payload["errors"][0]
        expect(error["field"] == [field] and error["code"] and error["message"], f"no reason: {payload}")


def create_products(shop: Shop) -> None:
    rows = [
        {"title": shop.title(f"Lot {number}"), "price": number, "category": shop.tag} for number in range(3)
    ]
    payload = shop.api.data(CREATE_MANY, products=rows)["createProducts"]
    expect(payload["success"] and len(payload["writes"]) == 3, f"not one receipt each: {payload}")
    found = shop.find(term=shop.tag, first=PAGE, after=payload["writes"][-1]["id"])
    ids = {write["productId"] for write in payload["writes"]}
    expect(ids <= {one["id"] for one in found}, f"not all of {ids} are stored: {found}")
    categories = {
        one["name"]: one["count"] for one in shop.api.data("{ categories { name count } }")["categories"]
    }
    expect(
        categories.get(shop.tag) == 3, f"category {shop.tag} has {categories.get(shop.tag)} products, not 3"
    )


def delete_product(shop: Shop) -> None:
    product_id = shop.make("Short life")["write"]["productId"]
    payload = shop.api.data(DELETE, id=product_id)["deleteProduct"]
    expect(payload["success"], f"refused: {payload}")
    product = shop.api.data(GET_AFTER, id=product_id, after=payload["write"]["id"])["product"]
    expect(product is None, f"still there: {product}")


def the_connection(shop: Shop) -> None:
    made = [shop.make(f"Link {number} chain")["write"] for number in range(4)]
    term = f"chain {shop.tag}"
    page = shop.api.data(CONNECTION, term=term, first=2, write=made[-1]["id"])["products"]
    expect(page["totalCount"] == 4 and page["pageInfo"]["hasNextPage"], f"not 2 of 4: {page}")
    made.append(shop.make("Link 4 chain")["write"])
    cursor = page["pageInfo"]["endCursor"]
    rest = shop.api.data(CONNECTION, term=term, first=9, after=cursor, write=made[-1]["id"])["products"]
    ids = [edge["node"]["id"] for edge in page["edges"] + rest["edges"]]
    expect(ids == [write["productId"] for write in made], f"a row was skipped or seen twice: {ids}")
    before = rest["pageInfo"]["startCursor"]
    back = shop.api.data(CONNECTION, term=term, last=1, before=before)["products"]
    expect([edge["node"]["id"] for edge in back["edges"]] == [ids[1]], f"the page before is {back}")


def the_queue_tells_its_state(shop: Shop) -> None:
    queue = shop.api.data(
        "{ queue { depth bytes oldestAgeMs appliedTotal failedTotal writesPerSecond state } }"
    )["queue"]
    expect(queue["appliedTotal"] > 0 and queue["state"], f"an empty state: {queue}")


PRODUCT_TESTS: tuple[Callable[[Shop], None], ...] = (
    health_check,
    async_create,
    sync_create,
    the_async_create_is_applied_with_all_fields,
    queries_with_all_fields,
    async_update,
    search,
    paging_with_skip,
    receipts,
    a_write_that_cannot_be_applied_fails_with_a_reason,
    idempotency,
    refused_arguments,
    create_products,
    delete_product,
    the_connection,
    the_queue_tells_its_state,
)
