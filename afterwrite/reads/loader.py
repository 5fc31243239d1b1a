"""Reads the products of many receipts in one query."""

from collections.abc import Iterable

from afterwrite.resources.product import Product
from afterwrite.storage.products import Products


class ProductLoader:
    """Products by id, for one request: all that are expected are read together, when the first is asked for."""

    def __init__(self, products: Products) -> None:
        self._products = products
        self._expected: set[int] = set()
        self._found: dict[int, Product | None] = {}

    def expect(self, ids: Iterable[int]) -> None:
        """Read these with the next query, again if they were read before."""
        self._expected.update(ids)

    def get(self, product_id: int) -> Product | None:
        """The product now, or None: not created yet, or deleted. Raises StoreError."""
        if product_id not in self._found:
            self._expected.add(product_id)
        if product_id in self._expected:
            self._found |= dict.fromkeys(self._expected) | self._products.get_many(list(self._expected))
            self._expected.clear()
        return self._found[product_id]
