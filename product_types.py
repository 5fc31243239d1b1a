"""What a product is: declare your own resources like this one, and name them in app.py."""

from afterwrite import Integer, Json, Money, Number, Resource, Text, Url, derived


class Product(Resource):
    """A product of the catalogue."""

    title = Text(required=True, max_length=300, search=True, order=True, aliases="name")
    price = Money(required=True, filter="range", order=True, help="Held exactly; at most two decimals")
    description = Text(max_length=10_000, search=True)
    category = Text(max_length=100, search=True, filter="equal", facet=True, aliases=("product_type", "category.name"))
    image = Url(
        max_length=2_000,
        help="The URL of a picture: an absolute http or https URL",
        aliases=("image_url", "imageUrl", "image_link", "thumbnail", "images"),
    )
    rating_rate = Number(minimum=0, maximum=5, aliases=("rating", "rating.rate"))
    rating_count = Integer(minimum=0, aliases="rating.count")

    @derived(Json)
    def rating(self) -> dict[str, float | int | None] | None:
        """`{"rate": 4.8, "count": 342}`, or null"""
        if self.rating_rate is None and self.rating_count is None:
            return None
        return {"rate": self.rating_rate, "count": self.rating_count}
