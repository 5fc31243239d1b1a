"""A dataloader: reads the products of many receipts in one query."""

from collections.abc import Iterable

from afterwrite.resources.product import Product
from afterwrite.storage.products import Products


class ProductLoader:
    """Products by id, for one request; the first ``get`` reads all expected ids together."""

    def __init__(self, products: Products) -> None:
        self._products = products
        self._expected: set[int] = set()
        self._found: dict[int, Product | None] = {}

    def expect(self, ids: Iterable[int]) -> None:
        """Add ids to the next query, even if they were read before."""
        self._expected.update(ids)

    def get(self, product_id: int) -> Product | None:
        """The product, or None if it is not created yet or deleted. Raises StoreError."""
        if product_id not in self._found:
            self._expected.add(product_id)
        if product_id in self._expected:
            self._found |= dict.fromkeys(self._expected) | self._products.get_many(list(self._expected))
            self._expected.clear()
        return self._found[product_id]
