"""An application without products, whose resource has aliases and a field of every kind."""

from afterwrite import (
    Application,
    Boolean,
    Choice,
    Date,
    DateTime,
    Email,
    Integer,
    Json,
    Money,
    Number,
    Rejected,
    Resource,
    Text,
    Url,
)


class ShipmentOrder(Resource):
    """A shipment, as shops and carriers write it down."""

    sku = Text(required=True, max_length=40, unique=True, search=True, aliases=("article", "item.sku"))
    note = Text(max_length=200, default="none")
    state = Choice("OPEN", "SENT", required=True, default="OPEN", aliases="status")
    total = Money(required=True, currency="EUR", aliases=("amount", "item.price"))
    customs = Money(currency="KWD")
    weight = Number(minimum=0, aliases="weight_kg")
    quality = Number(minimum=0, maximum=10)
    pieces = Integer(required=True, minimum=0, maximum=2**62, default=1, aliases="quantity")
    is_gift = Boolean()
    due = Date(aliases="due_date")
    sent_at = DateTime()
    tracking = Url(aliases="links")
    mail = Email()
    extra = Json(aliases="meta")

    def check(self) -> None:
        """What is sent has a day on which it is due."""
        if self.state == "SENT" and self.due is None:
            raise Rejected("NO_DAY", "give the day on which it is due")


class Box(Resource, plural="boxes"):
    """A box."""

    label = Text(max_length=20)


application = Application(resources=[ShipmentOrder, Box])
wsgi = application.wsgi
