"""What a form was filled in with and what is wrong with it, so that it can be shown again."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from graphene.utils.str_converters import to_snake_case

from afterwrite.base.refusals import Refused

_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
_SENT_BEFORE = (
    "This form was sent before, with other values, and was accepted then. "
    "Send it again if you want this as well."
)


@dataclass(frozen=True, slots=True)
class Form:
    """``values`` by field; ``errors`` by field, under the empty name those of the form as a whole."""

    values: Mapping[str, str]
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The idempotency key that a form keeps however often it is sent: a second click does nothing twice."""
        return self.values.get("idempotency_key") or secrets.token_urlsafe(16)


def again(form: Form, refused: Refused, fields: Iterable[str]) -> Form:
    """The form as it is shown again: with what was typed, and beside each field what is wrong with it.

    ``fields`` are those that it has; what is about none of them is said above all. A form whose key was used for other
    values gets a new one: people cannot give it one.
    """
    known, errors = set(fields), dict[str, str]()
    key = form.key
    for path, message, code in refused.problems:
        own = to_snake_case(path[0]) if path else ""
        told = message
        if code == _KEY_REUSED:
            key, told, own = secrets.token_urlsafe(16), _SENT_BEFORE, ""
        place = own if own in known else ""
        errors[place] = f"{errors[place]}; {told}" if place in errors else told
    return Form({**form.values, "idempotency_key": key}, errors)


def given(form: Mapping[str, str], name: str) -> str | None:
    """What a field holds; None when it was left empty."""
    text = form.get(name, "").strip().replace("\r\n", "\n")  # as browsers send the lines of a text
    return text or None


def without_name(message: str, name: str) -> str:
    """A message of the API without the field's name there, which stands beside the field in other words."""
    text = message.removeprefix(f"{name} ").removeprefix("is ")
    return text[:1].upper() + text[1:]
