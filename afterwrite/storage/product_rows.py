"""The stored form of a new product as a row: the order of its values in a bulk load."""

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

STORED = ("title", "price_minor", "description", "category", "image", "rating_rate", "rating_count")
StoredValues = tuple[Any, ...]
# Takes them from the stored form of a new product, as ``product.check_fields`` gives it.
stored_values: Callable[[Mapping[str, Any]], StoredValues] = itemgetter(*STORED)
