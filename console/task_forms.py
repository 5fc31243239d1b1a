"""The forms of tasks that people create by hand: their fields, and what a filled-in form means."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from console.forms import given
from tasks.workers.stripe_payments import CREATE_CUSTOMER, CREATE_PAYMENT, REFUND_PAYMENT


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form."""

    name: str
    label: str
    hint: str = ""
    required: bool = False
    type: str = "text"
    whole_number: bool = False


@dataclass(frozen=True, slots=True)
class TaskKind:
    """A form: its name in the URL, its title, the type of task that it makes, and its fields."""

    name: str
    title: str
    type: str
    fields: tuple[Field, ...] = field(default_factory=tuple)

    @property
    def names(self) -> list[str]:
        """The names of the fields."""
        return [*(one.name for one in self.fields), "correlation_id"]


_CENTS = "In minor units, such as cents: 1999 is 19.99"
_KINDS = (
    TaskKind(
        "customer",
        "Create customer",
        CREATE_CUSTOMER,
        (
            Field("email", "E-mail", required=True, type="email"),
            Field("name", "Name", required=True),
        ),
    ),
    TaskKind(
        "payment",
        "Create payment",
        CREATE_PAYMENT,
        (
            Field("amount", "Amount", _CENTS, required=True, whole_number=True),
            Field("currency", "Currency", "Three letters, such as eur", required=True),
            Field("customer_id", "Customer", "cus_…, from the result of a customer's task", required=True),
            Field("payment_method", "Payment method", "pm_…; Stripe's test card if left out"),
            Field("description", "Description"),
        ),
    ),
    TaskKind(
        "refund",
        "Refund",
        REFUND_PAYMENT,
        (
            Field("payment_intent_id", "Payment", "pi_…, from the result of a payment's task", required=True),
            Field("amount", "Amount", f"{_CENTS}; all of it if left out", whole_number=True),
        ),
    ),
)
KINDS: Mapping[str, TaskKind] = {kind.name: kind for kind in _KINDS}


def payload_of(kind: TaskKind, form: Mapping[str, str]) -> dict[str, Any]:
    """What the form gives for the payload; a required field that is empty stays empty, to be refused with its name."""
    found: dict[str, Any] = {}
    for one in kind.fields:
        text = given(form, one.name)
        if text is None and one.required:
            found[one.name] = ""
        elif text is not None:
            found[one.name] = _number(text) if one.whole_number else text
    return found


def _number(text: str) -> int | str:
    """The whole number of a text; what is none is left for the schema of the type to refuse."""
    plain = text.replace(" ", "")
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) <= 18 else text
