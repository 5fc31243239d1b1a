"""The values and errors of a submitted form."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from afterwrite.base.refusals import Refused
from afterwrite.base.text import camel_case

_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
_SENT_BEFORE = (
    "This form was sent before, with other values, and was accepted then. Send it again to submit these values too."
)


@dataclass(frozen=True, slots=True)
class Form:
    """``values`` by field; ``errors`` by field, those of the whole form under the empty name."""

    values: Mapping[str, str]
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The form's idempotency key, the same for every submission, so that a second click changes nothing."""
        return self.values.get("idempotency_key") or secrets.token_urlsafe(16)


def again(form: Form, refused: Refused, fields: Iterable[str]) -> Form:
    """The form with its values and the errors of a refused submission.

    ``fields`` are the form's own; all other errors are those of the whole form. A form whose key was used for other
    values gets a new key.
    """
    own, errors = {camel_case(name): name for name in fields}, dict[str, str]()
    key = form.key
    for path, message, code in refused.problems:
        place = own.get(camel_case(path[0]), "") if path else ""
        text = message
        if code == _KEY_REUSED:
            key, text, place = secrets.token_urlsafe(16), _SENT_BEFORE, ""
        errors[place] = f"{errors[place]}; {text}" if place in errors else text
    return Form({**form.values, "idempotency_key": key}, errors)


def given(form: Mapping[str, str], name: str) -> str | None:
    """The value of a field; None if it is empty."""
    text = form.get(name, "").strip().replace("\r\n", "\n")  # browsers send CRLF
    return text or None


def without_name(message: str, name: str) -> str:
    """A message of the API without its field name, because the form has a label."""
    text = message.removeprefix(f"{name} ").removeprefix("is ")
    return text[:1].upper() + text[1:]
