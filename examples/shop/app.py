"""A shop: products, their stock and orders. ``python -m afterwrite serve examples.shop.app`` in a clone."""

from typing import Annotated

from afterwrite import Application, Choice, Email, Integer, Money, Reference, Rejected, Resource, Text, operation

Pieces = Annotated[int, Integer(minimum=1)]


class Product(Resource):
    """An article of the shop."""

    title = Text(required=True, max_length=200, search=True, order=True)
    price = Money(required=True, currency="EUR", filter="range", order=True)


class Stock(Resource):
    """The pieces of a product in the warehouse."""

    sku = Text(required=True, max_length=40, unique=True, search=True, order=True)
    product = Reference(Product, required=True, on_delete="cascade")
    on_hand = Integer(required=True, minimum=0, default=0, filter="range")

    @operation
    def reserve(self, quantity: Pieces) -> "Stock":
        """Take pieces out of stock."""
        if quantity > self.on_hand:
            raise Rejected("OUT_OF_STOCK", f"{self.on_hand} of {self.sku} are left, {quantity} were asked for")
        return self.replace(on_hand=self.on_hand - quantity)

    @operation
    def restock(self, quantity: Pieces) -> "Stock":
        """Put pieces into stock."""
        return self.replace(on_hand=self.on_hand + quantity)


class Order(Resource):
    """An order of one product."""

    product = Reference(Product, required=True)
    customer = Email(required=True, search=False, filter="equal")
    pieces = Integer(required=True, minimum=1)
    state = Choice("NEW", "PAID", "SHIPPED", "CANCELLED", required=True, default="NEW", filter="in")

    @operation
    def pay(self) -> "Order":
        """Record the payment of a new order."""
        return self._move("PAID", "NEW")

    @operation
    def ship(self) -> "Order":
        """Send a paid order."""
        return self._move("SHIPPED", "PAID")

    @operation
    def cancel(self) -> "Order":
        """Give up an order that was not shipped."""
        return self._move("CANCELLED", "NEW", "PAID")

    def _move(self, state: str, *allowed: str) -> "Order":
        if self.state not in allowed:
            raise Rejected("WRONG_STATE", f"order {self.id} is {self.state}: it cannot become {state}")
        return self.replace(state=state)


application = Application(resources=[Product, Stock, Order])
wsgi = application.wsgi

if __name__ == "__main__":
    raise SystemExit(application.run())
