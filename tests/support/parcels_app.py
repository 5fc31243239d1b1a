"""An application with products and a second resource, whose operation shows in which order it was applied."""

from afterwrite import Application, Integer, Resource, Text, operation
from product_types import Product


class Parcel(Resource):
    """A parcel."""

    title = Text(required=True, max_length=300, search=True)
    weight = Integer(required=True, minimum=0, default=0)

    @operation
    def weigh(self, title: str, grams: int) -> "Parcel":
        """Change the weight in a way that no other order of operations would."""
        return self.replace(title=title, weight=weighed(self.weight, grams))


def weighed(weight: int, grams: int) -> int:
    """The weight after an operation."""
    return (weight * 31 + grams) % 1_000_003


application = Application(resources=[Product, Parcel])
wsgi = application.wsgi

if __name__ == "__main__":
    raise SystemExit(application.run())
