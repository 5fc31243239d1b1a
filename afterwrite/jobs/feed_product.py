"""The product that jobs check: the fields of a product feed, whatever resources the application declares."""

from afterwrite.resources.number_fields import Integer, Money, Number
from afterwrite.resources.registry import compiled
from afterwrite.resources.resource import Resource
from afterwrite.resources.text_fields import Text, Url


class FeedProduct(Resource, name="Product"):
    """A product of a feed."""

    title = Text(required=True, max_length=300, aliases="name")
    price = Money(required=True)
    description = Text(max_length=10_000)
    category = Text(max_length=100, aliases=("product_type", "category.name"))
    image = Url(max_length=2_000, aliases=("image_url", "imageUrl", "image_link", "thumbnail", "images"))
    rating_rate = Number(minimum=0, maximum=5, aliases=("rating", "rating.rate"))
    rating_count = Integer(minimum=0, aliases="rating.count")


PRODUCT = compiled(FeedProduct)
