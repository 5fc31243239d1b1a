"""The resources of the application, compiled, and what tests of products say shortly."""

from typing import Any

from afterwrite.resources.registry import Resources
from afterwrite.storage.records import Condition, RecordFilter, orders_of
from product_types import Product

RESOURCES = Resources([Product])
PRODUCT = RESOURCES["Product"]
ORDERS = orders_of(PRODUCT)


def product_filter(
    search: str = "",
    category: str | None = None,
    min_price_minor: int | None = None,
    max_price_minor: int | None = None,
) -> RecordFilter:
    """A filter for products; None matches every one."""
    given: list[tuple[str, str, Any]] = [
        ("category", "equal", category),
        ("price_minor", "minimum", min_price_minor),
        ("price_minor", "maximum", max_price_minor),
    ]
    return RecordFilter(search, tuple(Condition(*one) for one in given if one[2] is not None))
