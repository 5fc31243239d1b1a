"""The product pipeline: validates, enriches and summarises a list of products, in pure functions."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

from afterwrite.jobs.feed_product import PRODUCT
from afterwrite.jobs.words import category_name, keywords, slug, tidy, unique
from afterwrite.resources.feed_fields import FeedReader
from afterwrite.resources.feed_numbers import DecimalSign
from afterwrite.resources.feed_values import only_sign

Stored = Mapping[str, Any]  # a product in its stored form
Json = dict[str, Any]
T = TypeVar("T")

_NAMED_REFUSALS, _REASON_MAX = 3, 200
_LIST_SHARE = 4  # refusals may use a quarter of the bytes, and so may the categories
_NOTES_SHARE = 8
_ENDING_BYTES = 100  # reserved for the last stage
_PART, _MOST_PARTS = 500, 1_000  # products per part; most parts, of which Airflow maps at most 1024


class Checked(NamedTuple):
    """A validated list: the valid products and the refusals, both by index.

    ``decimal`` is the decimal sign used; ``ignored`` are the distinct names that were not read; ``currencies`` are
    those found next to prices.
    """

    products: dict[int, Stored]
    refusals: list[Json]
    decimal: str | None
    ignored: list[str]
    currencies: list[str]


class Enriched(NamedTuple):
    """The enriched products, and the statistics of the whole list."""

    products: list[Json]
    figures: Json
    categories: list[Json]


def validate(items: Sequence[Mapping[str, Any]], first_index: int = 0, decimal: str | None = None) -> Checked:
    """Validate every item by the rules of a new product; the first one has the index ``first_index``.

    Items have the format of a product file (``feed_fields``); ``decimal`` is a value of DecimalSign. A refusal is
    ``{"index", "errors": [{"field", "code", "message"}]}``.
    """
    products: dict[int, Stored] = {}
    refusals = []
    reader = FeedReader(PRODUCT, None if decimal is None else DecimalSign(decimal))
    for index, item in enumerate(items, first_index):
        checked, refused = PRODUCT.check_new(reader.fields(item))
        if refused:
            refusals.append({"index": index, "errors": [problem.as_json() for problem in refused]})
        else:
            products[index] = checked
    return Checked(products, refusals, decimal, list(reader.ignored), list(reader.values.currencies.get("price", ())))


def decimal_of(items: Sequence[Mapping[str, Any]], given: str | None) -> str | None:
    """The decimal sign of a list, for ``validate``: the ``given`` one, or else the one that its prices imply."""
    if given is not None:
        return given
    reader = FeedReader(PRODUCT)
    for item in items:
        if type(item.get("price")) is str:
            reader.fields(item)
    return only_sign(reader.values.seen_signs)


def transform(products: Mapping[int, Stored]) -> Enriched:
    """Enrich every product and compute the statistics; needs at least one product.

    Calls ``described`` for each and then ``together``; a long list can be described in parallel parts.
    """
    return together([described(index, product) for index, product in products.items()])


def described(index: int, product: Stored) -> Json:
    """The fields of a product that do not depend on others, as JSON for ``together``."""
    title, category = tidy(product["title"]), category_name(product["category"])
    rate, count = product["rating_rate"], product["rating_count"]
    return {
        "index": index,
        "title": title,
        "slug": slug(title),
        "category": category,
        "priceMinor": product["price_minor"],
        "keywords": keywords(title, category),
        "rating": None if rate is None and count is None else {"rate": rate, "count": count},
    }


def parts(count: int) -> range:
    """The start index of each parallel part of a list; the range's ``step`` is the size of a part."""
    return range(0, count, max(_PART, -(-count // _MOST_PARTS)))


def together(descriptions: Sequence[Json]) -> Enriched:
    """Combine the descriptions of all products, in list order; needs at least one.

    A product becomes ``{"index", "title", "slug", "category", "price", "priceBand", "keywords", "rating"}``. Statistics
    are ``{"count", "total", "min", "max", "mean", "median"}``. Money is decimal text, summed in minor units, so no cent
    is lost; mean and median are rounded half to even. The categories come largest first.
    """
    prices: dict[str | None, list[int]] = defaultdict(list)
    for one in descriptions:
        prices[one["category"]].append(one["priceMinor"])
    ordered = {name: sorted(found) for name, found in prices.items()}
    slugs = unique(one["slug"] for one in descriptions)
    enriched = [_enriched(one, slug, ordered[one["category"]]) for one, slug in zip(descriptions, slugs, strict=True)]
    largest_first = sorted(ordered, key=lambda name: (-len(ordered[name]), name or ""))
    categories = [{"category": name} | _figures(ordered[name]) for name in largest_first]
    return Enriched(enriched, _figures(sorted(price for found in ordered.values() for price in found)), categories)


def verdict(checked: Checked, max_bytes: int) -> Json:
    """The first stage's result: counts, ignored names, and the refusals that fit a quarter of ``max_bytes``."""
    refusals, left_out = _first_that_fit(checked.refusals, max_bytes // _LIST_SHARE)
    return {
        "received": len(checked.products) + len(checked.refusals),
        "accepted": len(checked.products),
        "refused": len(checked.refusals),
        "refusals": refusals,
        "refusalsLeftOut": left_out,
        "decimal": checked.decimal,
        "ignoredNames": _first_that_fit(checked.ignored, max_bytes // _NOTES_SHARE)[0],
        "currencies": checked.currencies,
    }


def all_refused(refusals: Sequence[Json]) -> str:
    """The error message when no product is valid, with the first reasons."""
    count, first = len(refusals), refusals[:_NAMED_REFUSALS]
    reasons = "; ".join(
        f"product {refusal['index']}: {refusal['errors'][0]['message'][:_REASON_MAX]}" for refusal in first
    )
    more = f"; and {count - len(first):,} more" if count > len(first) else ""
    if count == 1:
        return f"The only product is not valid ({reasons}): correct it and send it again"
    return f"None of the {count:,} products is valid ({reasons}{more}): correct them and send them again"


def with_products(report: Json, enriched: Enriched, max_bytes: int) -> Json:
    """The verdict plus statistics and as many products as fit ``max_bytes`` of JSON."""
    categories, categories_left_out = _first_that_fit(enriched.categories, max_bytes // _LIST_SHARE)
    statistics = enriched.figures | {"categories": categories, "categoriesLeftOut": categories_left_out}
    found = report | {"statistics": statistics, "products": [], "productsLeftOut": len(enriched.products)}
    room = max_bytes - len(json.dumps(found)) - _ENDING_BYTES
    products, left_out = _first_that_fit(enriched.products, room)
    return found | {"products": products, "productsLeftOut": left_out}


def adds_up(report: Json, received: int) -> bool:
    """Whether a report passed the second stage and accounts for every received product."""
    if "products" not in report:
        return False
    listed = len(report["products"]) + report["productsLeftOut"]
    return bool(received == report["received"] == listed + report["refused"] and listed == report["accepted"])


def price_band(price: int, prices: Sequence[int]) -> str:
    """LOW below the lower quartile of the ascending ``prices``, HIGH above the upper one, else MIDDLE."""
    quarter = (len(prices) - 1) // 4
    if price < prices[quarter]:
        return "LOW"
    return "HIGH" if price > prices[-1 - quarter] else "MIDDLE"


def _enriched(described: Json, slug: str, prices: Sequence[int]) -> Json:
    return {
        "index": described["index"],
        "title": described["title"],
        "slug": slug,
        "category": described["category"],
        "price": _money(described["priceMinor"]),
        "priceBand": price_band(described["priceMinor"], prices),
        "keywords": described["keywords"],
        "rating": described["rating"],
    }


def _figures(prices: Sequence[int]) -> Json:
    count, total = len(prices), sum(prices)
    middle = Fraction(prices[(count - 1) // 2] + prices[count // 2], 2)
    return {
        "count": count,
        "total": _money(total),
        "min": _money(prices[0]),
        "max": _money(prices[-1]),
        "mean": _money(round(Fraction(total, count))),
        "median": _money(round(middle)),
    }


def _money(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02}"


def _first_that_fit(rows: Sequence[T], max_bytes: int) -> tuple[list[T], int]:
    """The first rows whose JSON fits, and the number left out."""
    kept: list[T] = []
    for row in rows:
        # Counts the longest encoding, with every non-ASCII character escaped.
        max_bytes -= len(json.dumps(row)) + len(", ")
        if max_bytes < 0:
            break
        kept.append(row)
    return kept, len(rows) - len(kept)
