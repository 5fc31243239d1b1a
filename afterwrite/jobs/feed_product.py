"""The product that jobs check: the fields of a product feed, whatever resources the application declares."""

from collections.abc import Callable, Mapping
from typing import Any

from afterwrite.resources.field import FieldError
from afterwrite.resources.number_fields import Integer, Money, Number
from afterwrite.resources.registry import compiled
from afterwrite.resources.resource import Resource
from afterwrite.resources.text_fields import Text, Url


class FeedProduct(Resource):
    """A product of a feed."""

    title = Text(required=True, max_length=300)
    price = Money(required=True)
    description = Text(max_length=10_000)
    category = Text(max_length=100)
    image = Url(max_length=2_000)
    rating_rate = Number(minimum=0, maximum=5)
    rating_count = Integer(minimum=0)


check_product: Callable[[Mapping[str, Any]], tuple[dict[str, Any], list[FieldError]]] = compiled(FeedProduct).check_new
"""Validate a product as FeedReader gives it: its stored form, and all errors."""
