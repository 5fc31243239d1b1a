"""The forms that create tasks: their fields, validation and payloads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from afterwrite.base.json_schema import Validator
from afterwrite.base.refusals import Problem, Refused
from afterwrite.console.forms import given
from afterwrite.tasks.workers.stripe_payments import CREATE_CUSTOMER, CREATE_PAYMENT, REFUND_PAYMENT, StripeWorker

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError


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
    """A form: its name in the URL, its title, the task type that it creates, and its fields."""

    name: str
    title: str
    type: str
    fields: tuple[Field, ...]

    @property
    def names(self) -> list[str]:
        """The names of the fields."""
        return [*(one.name for one in self.fields), "correlation_id"]


_CENTS = "In minor units, such as cents: 1999 is 19.99"
_FROM_CUSTOMER = "cus_…, from the result of a customer task"
_FROM_PAYMENT = "pi_…, from the result of a payment task"
_TEST_CARD = "pm_…; default: Stripe's test card"
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
            Field("amount", "Amount", f"{_CENTS}; default: the whole amount", whole_number=True),
        ),
    ),
)
KINDS: Mapping[str, TaskKind] = {kind.name: kind for kind in _KINDS}


def check(kind: TaskKind, form: Mapping[str, str]) -> None:
    """Raise Refused with all errors of a submitted form, worded for display next to the fields."""
    fields = {one.name: one for one in kind.fields}
    empty = [one.name for one in kind.fields if one.required and given(form, one.name) is None]
    found = {name: Problem([name], "Give a value", "REQUIRED") for name in empty}
    for error in Validator(StripeWorker.types[kind.type]).errors(payload_of(kind, form)):
        if error.path and (name := str(error.path[0])) in fields:
            found.setdefault(name, Problem([name], _form_message(fields[name], error), "INVALID_PAYLOAD"))
    if found:
        raise Refused(list(found.values()))


def _form_message(one: Field, error: "ValidationError") -> str:
    """The message for an invalid value; an example instead of a pattern."""
    if error.validator == "type":
        return "Give a whole number"
    return f"This is not of the form {one.example}" if one.example else error.message


def payload_of(kind: TaskKind, form: Mapping[str, str]) -> dict[str, Any]:
    """The payload of the form, without empty fields."""
    texts = {one: given(form, one.name) for one in kind.fields}
    return {one.name: _number(text) if one.whole_number else text for one, text in texts.items() if text is not None}


def _number(text: str) -> int | str:
    """The integer of a text; the schema of the type refuses a text that is not one."""
    plain = text.replace(" ", "")
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) <= 18 else text
