"""A shop: products, their stock, and orders whose payment is followed by an invoice. README.md starts it."""

from typing import Annotated, Any

from afterwrite import (
    Application,
    BaseWorker,
    Choice,
    Email,
    FollowUp,
    Integer,
    Money,
    Reference,
    Rejected,
    Resource,
    Task,
    TaskContext,
    Text,
    operation,
)

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
    customer = Email(required=True, filter="equal")
    pieces = Integer(required=True, minimum=1)
    state = Choice("NEW", "PAID", "SHIPPED", "CANCELLED", required=True, default="NEW", filter="in")

    @operation
    def pay(self) -> "tuple[Order, FollowUp]":
        """Record the payment of a new order, and have its invoice written."""
        return self._move("PAID", "NEW"), FollowUp("write_invoice", {"order": self.id, "customer": self.customer})

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


class InvoiceWorker(BaseWorker):
    """Writes the invoice of a paid order."""

    fields = {"order": {"type": "integer"}, "customer": {"type": "string"}}
    types = {"write_invoice": {"type": "object", "required": list(fields), "properties": fields}}

    async def execute_task(self, task: Task, context: TaskContext) -> dict[str, Any]:
        """Return its text; a real one would be rendered, stored and sent."""
        return {"invoice": f"Invoice {task.payload['order']} for {task.payload['customer']}: paid with thanks"}


application = Application(resources=[Product, Stock, Order], workers=[InvoiceWorker])
wsgi = application.wsgi

if __name__ == "__main__":
    raise SystemExit(application.run())
