"""The workloads: one GraphQL document each, with different variables per request."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.catalogue import CATEGORIES, MAKERS, THINGS, TRAITS, title_mark

ROWS_PER_REQUEST = 1_000
FIELDS = "id title price description category image rating"
CREATE = """mutation CreateProduct($title: String!, $price: Float!, $description: String, $category: String,
  $image: String, $ratingRate: Float, $ratingCount: Int) {
  createProduct(title: $title, price: $price, description: $description, category: $category, image: $image,
    ratingRate: $ratingRate, ratingCount: $ratingCount) { success message } }"""
MARK = "~number~"


@dataclass(frozen=True)
class Workload:
    """One kind of request.

    `body` is JSON with MARK as a placeholder (empty: GET /); `value` maps the request number to its replacement. An
    answer is good if it matches `proof` `proofs` times and has no `"errors"`, or has them if the request is `wrong`.
    """

    name: str
    body: str
    proof: str
    proofs: int = 1
    value: Callable[[int], str] = "{:09d}".format
    wrong: bool = False

    def pieces(self) -> list[bytes]:
        """Return the body cut at every MARK."""
        return self.body.encode().split(MARK.encode())

    def is_good(self) -> Callable[[bytes], bool]:
        """Return the check for the body of an answer."""
        pattern = re.compile(self.proof.encode())
        proofs, wrong = self.proofs, self.wrong
        return lambda answer: len(pattern.findall(answer)) == proofs and (b'"errors":[{' in answer) == wrong


def _body(document: str, **variables: Any) -> str:
    return json.dumps({"query": document, "variables": variables})


def create_title(number: str) -> str:
    """Return the title of the created product number `number`, as it is stored."""
    return f"Bench product {number}"


def _product_fields() -> dict[str, Any]:
    return {
        "title": create_title(MARK),
        "price": 379.99,
        "description": "Over-ear headphones with a replaceable battery and a woven cable.",
        "category": "Audio",
        "image": "https://example.com/headphones.jpg",
        "ratingRate": 4.6,
        "ratingCount": 218,
    }


def workload(name: str, catalogue_size: int = 1) -> Workload:
    """Return the workload of that name; `catalogue_size` bounds the requested product ids."""
    return _WORKLOADS[name](catalogue_size)


def _hello(_: int) -> Workload:
    return Workload("hello", "", "hello")


def _product(size: int) -> Workload:
    document = f"query Product($id: ID!) {{ product(productId: $id) {{ {FIELDS} }} }}"
    # The stride is coprime to the usual sizes, so ids are visited in scattered order.
    return Workload(
        "product", _body(document, id=MARK), r'"title":', value=lambda number: str(number * 7919 % size + 1)
    )


def _all_products(size: int) -> Workload:
    document = f"query Page($skip: Int) {{ allProducts(first: 10, skip: $skip) {{ {FIELDS} }} }}"
    body = _body(document, skip=MARK).replace(f'"{MARK}"', MARK)
    return Workload("allProducts", body, r'"title":', 10, lambda number: str(number % min(size - 10, 100)))


SEARCHES: Mapping[str, tuple[str, str, Callable[[int], str], bool]] = {
    # title, order, term, whether there are hits
    "searchMiss": ("miss", "ID_ASC", lambda number: f"absent {number:09d}", False),
    "searchNearMiss": ("miss, its trigrams frequent", "ID_ASC", lambda number: _scrambled_phrase(number), False),
    "searchNearMissInWord": ("miss in a word, its trigrams frequent", "ID_ASC", lambda _: "campack", False),
    "searchFrequent": ("frequent term", "ID_ASC", lambda number: THINGS[number % 10], True),
    "searchRare": ("rare term", "ID_ASC", lambda number: title_mark(number * 7919 % 10_000), True),
    "searchLetter": ("one letter", "ID_ASC", lambda number: "aeiou"[number % 5], True),
    "searchTwoLetters": ("two letters", "ID_ASC", lambda number: THINGS[number % 10][1:3], True),
    "searchLetterMiss": ("one letter that misses", "ID_ASC", lambda number: "àéîõü"[number % 5], False),
    "searchTwoLettersMiss": ("two letters that miss", "ID_ASC", lambda number: "qxjzwv"[number % 5 :][:2], False),
    "searchByPrice": ("frequent term, by price", "PRICE_ASC", lambda number: THINGS[number % 10], True),
    "searchRareByPrice": ("rare term, by price", "PRICE_DESC", lambda number: title_mark(number * 7919 % 10_000), True),
    "searchLetterByPrice": ("one letter, by price", "PRICE_ASC", lambda number: "aeiou"[number % 5], True),
}
"""What `_search` makes: the title of each, the order, the term for a request's number, and whether it has hits."""


def _search(name: str, _size: int) -> Workload:
    _, order, term, has_hits = SEARCHES[name]
    fields = f"{{ nodes {{ {FIELDS} }} }}"
    document = f"query Search($term: String) {{ products(search: $term, first: 10, orderBy: {order}) {fields} }}"
    proof = r'"nodes":\s*\[\{' if has_hits else r'"nodes":\s*\[\]'
    return Workload(name, _body(document, term=MARK), proof, value=term)


def _scrambled_phrase(number: int) -> str:
    maker, thing, trait = (words[number // 10**at % 10] for at, words in enumerate((MAKERS, THINGS, TRAITS)))
    return f"{thing} by {maker} {trait}"


def _create(_: int) -> Workload:
    return Workload("createProduct", _body(CREATE, **_product_fields()), r'"success":\s*true')


def _create_many(_: int) -> Workload:
    document = "mutation Many($products: [ProductInput!]!) { createProducts(products: $products) { success } }"
    rows = [
        {
            "title": f"Bench product {MARK}-{row:04d}",
            "price": row + 0.5,
            "description": "One of a thousand in the same request.",
            "category": CATEGORIES[row % len(CATEGORIES)],
        }
        for row in range(ROWS_PER_REQUEST)
    ]
    return Workload("createProducts", _body(document, products=rows), r'"success":\s*true')


def _new_valid(_: int) -> Workload:
    return Workload("newValid", _body(f"{{ new{MARK}: product(productId: 1) {{ {FIELDS} }} }}"), r'"title":')


def _new_long(_: int) -> Workload:
    """Send a new document of 1,000 fields: those of ten products, again and again."""
    products = " ".join(f"new{MARK}p{at}: product(productId: 1) {{ {' '.join([FIELDS] * 14)} }}" for at in range(10))
    return Workload("newLong", _body(f"{{ {products} }}"), r'"title":', 10)


def _new_syntax(_: int) -> Workload:
    body = _body(f"{{ new{MARK}: product(productId: 1) {{ {FIELDS} }}")
    return Workload("newSyntax", body, "GRAPHQL_PARSE_FAILED", wrong=True)


def _new_rules(_: int) -> Workload:
    body = _body(f"{{ new{MARK}: product(productId: 1) {{ {FIELDS} nothing }} }}")
    return Workload("newRules", body, "GRAPHQL_VALIDATION_FAILED", wrong=True)


def _wrong_again(_: int) -> Workload:
    body = _body(f"query Product($id: ID!) {{ product(productId: $id) {{ {FIELDS} nothing }} }}", id=MARK)
    return Workload("wrongAgain", body, "GRAPHQL_VALIDATION_FAILED", wrong=True)


_WORKLOADS: dict[str, Callable[[int], Workload]] = {
    "hello": _hello,
    "product": _product,
    "allProducts": _all_products,
    **{name: partial(_search, name) for name in SEARCHES},
    "createProduct": _create,
    "createProducts": _create_many,
    "newValid": _new_valid,
    "newLong": _new_long,
    "newSyntax": _new_syntax,
    "newRules": _new_rules,
    "wrongAgain": _wrong_again,
}
