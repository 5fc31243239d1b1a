"""A warehouse whose last pieces are never sold twice: ``python -m afterwrite serve examples.stock.app`` in a clone."""

from typing import Annotated

from afterwrite import Application, Integer, Rejected, Resource, Text, operation

Pieces = Annotated[int, Integer(minimum=1)]


class Stock(Resource):
    """How many pieces of an article a warehouse has."""

    sku = Text(required=True, max_length=40, unique=True, immutable=True, search=True, order=True)
    warehouse = Text(required=True, max_length=100, filter="equal", facet=True, order=True)
    on_hand = Integer(required=True, minimum=0, default=0, filter="range", order=True)

    @operation
    def reserve(self, quantity: Pieces) -> "Stock":
        """Take pieces out of stock."""
        if quantity > self.on_hand:
            raise Rejected("OUT_OF_STOCK", f"{self.on_hand} of {self.sku} are left, {quantity} were asked for")
        return self.replace(on_hand=self.on_hand - quantity)

    @operation
    def deliver(self, quantity: Pieces) -> "Stock":
        """Put pieces into stock."""
        return self.replace(on_hand=self.on_hand + quantity)


application = Application(resources=[Stock])
wsgi = application.wsgi

if __name__ == "__main__":
    raise SystemExit(application.run())
