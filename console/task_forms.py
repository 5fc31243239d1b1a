"""The forms of tasks that people create by hand: their fields, and what a filled-in form means."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphene.utils.str_converters import to_snake_case

from console.forms import Refusal, given
from tasks.registry import TaskRefused
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
    example: str = ""


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
_FROM_CUSTOMER = "cus_…, from the result of a customer's task"
_FROM_PAYMENT = "pi_…, from the result of a payment's task"
_TEST_CARD = "pm_…; Stripe's test card if left out"
_KINDS = (
    TaskKind(
        "customer",
        "Create customer",
        CREATE_CUSTOMER,
        (
            Field("email", "E-mail", required=True, type="email", example="name@example.com"),
            Field("name", "Name", required=True),
        ),
    ),
    TaskKind(
        "payment",
        "Create payment",
        CREATE_PAYMENT,
        (
            Field("amount", "Amount", _CENTS, required=True, whole_number=True),
            Field("currency", "Currency", "Three letters, such as eur", required=True, example="eur"),
            Field("customer_id", "Customer", _FROM_CUSTOMER, required=True, example="cus_abc123"),
            Field("payment_method", "Payment method", _TEST_CARD, example="pm_abc123"),
            Field("description", "Description"),
        ),
    ),
    TaskKind(
        "refund",
        "Refund",
        REFUND_PAYMENT,
        (
            Field("payment_intent_id", "Payment", _FROM_PAYMENT, required=True, example="pi_abc123"),
            Field("amount", "Amount", f"{_CENTS}; all of it if left out", whole_number=True),
        ),
    ),
)
KINDS: Mapping[str, TaskKind] = {kind.name: kind for kind in _KINDS}


def missing(kind: TaskKind, form: Mapping[str, str]) -> list[Refusal]:
    """Every required field that was left empty: all of them at once."""
    return [
        Refusal(one.name, "Give a value", "REQUIRED")
        for one in kind.fields
        if one.required and given(form, one.name) is None
    ]


def told(kind: TaskKind, error: TaskRefused) -> str:
    """Why a value is refused, to somebody who sees the field; a pattern tells people nothing, its example does."""
    for one in kind.fields:
        if to_snake_case(error.field or "") == one.name and one.example and "does not match" in error.message:
            return f"This is not of the form {one.example}"
    return error.message


def payload_of(kind: TaskKind, form: Mapping[str, str]) -> dict[str, Any]:
    """What the form gives for the payload; a field that was left empty is left out."""
    texts = {one: given(form, one.name) for one in kind.fields}
    return {
        one.name: _number(text) if one.whole_number else text
        for one, text in texts.items()
        if text is not None
    }


def _number(text: str) -> int | str:
    """The whole number of a text; what is none is left for the schema of the type to refuse."""
    plain = text.replace(" ", "")
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) <= 18 else text
