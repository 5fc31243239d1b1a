"""Declares resources for tests: one with every kind of field, and ones that change from start to start."""

from datetime import datetime
from typing import Annotated, Any

from afterwrite import (
    AcceptedAt,
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
    derived,
    operation,
)
from afterwrite.resources.registry import Resources
from afterwrite.resources.resource import ResourceType


class Order(Resource):
    """An order with a field of every kind."""

    number = Text(required=True, max_length=20, unique=True, immutable=True, search=True, order=True)
    note = Text(max_length=200, search=True, order=True)
    state = Choice("OPEN", "PAID", "SENT", required=True, default="OPEN", filter=("equal", "in"), facet=True)
    total = Money(required=True, currency="EUR", filter="range", order=True)
    tip = Money(currency="JPY")
    weight = Number(minimum=0, filter="range", order=True)
    pieces = Integer(required=True, minimum=0, maximum=2**40, default=1, filter=("range", "in"))
    gift = Boolean(required=True, default=False, filter="equal")
    due = Date(filter="range", order=True)
    paid_at = DateTime(filter="range", order=True)
    link = Url()
    mail = Email(unique=True, filter="equal")
    extra = Json()

    def check(self) -> None:
        """A gift is free of a tip."""
        if self.gift and self.tip is not None:
            raise Rejected("GIFT_WITH_TIP", "a gift has no tip: leave the tip out")

    @derived(Integer)
    def per_piece(self) -> int | None:
        """The total for each piece, in cents"""
        return int(self.total * 100) // self.pieces if self.pieces else None

    @operation
    def pay(self, amount: Annotated[int, Integer(minimum=1)], at: AcceptedAt | None = None) -> "Order":
        """Pay a part in cents, or all of it."""
        if self.state != "OPEN":
            raise Rejected("NOT_OPEN", f"order {self.number} is {self.state}")
        left = int(self.total * 100) - amount
        if left < 0:
            raise Rejected("TOO_MUCH", f"{-left} cents are too much")
        return self.replace(total=left / 100, state="OPEN" if left else "PAID", paid_at=at)

    @operation
    def add(self, pieces: int = 1) -> "Order":
        """Add pieces, or take some away."""
        return self.replace(pieces=self.pieces + pieces)

    @operation
    def postpone(self, until: datetime) -> "Order":
        """Set the day on which it is due."""
        return self.replace(due=until.date())


class Locker(Resource):
    """A locker whose code no other one has, and from which no more is taken than is in it."""

    code = Text(required=True, max_length=20, unique=True, search=True)
    content = Integer(required=True, minimum=0, default=0)

    @operation
    def put(self, amount: int) -> "Locker":
        """Put something in, or take it out."""
        if self.content + amount < 0:
            raise Rejected("EMPTY", f"{self.content} are in it")
        return self.replace(content=self.content + amount)


def resource(name: str, /, **members: Any) -> type[Resource]:
    """A declaration with these members."""
    made: type[Resource] = ResourceType(name, (Resource,), members)  # type: ignore[assignment]
    return made


def resources(name: str, /, **members: Any) -> Resources:
    """An application's resources, of which there is one."""
    return Resources([resource(name, **members)])


WHOLE_ORDER: dict[str, Any] = {
    "number": "A-1",
    "note": "e\u0301tude",
    "state": "PAID",
    "total": 12.5,
    "tip": 500,
    "weight": 2,
    "pieces": 2**40,
    "gift": False,
    "due": "2026-12-24",
    "paidAt": "2026-11-30T12:00:00+01:00",
    "link": "https://x.org/a",
    "mail": "mia@example.org",
    "extra": {"a": [1, None, "ü"]},
}
"""The fields of an order as a client gives them, one of every kind."""
