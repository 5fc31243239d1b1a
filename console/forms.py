"""What a form was filled in with and what is wrong with it, so that it can be shown again."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from graphene.utils.str_converters import to_snake_case


@dataclass(frozen=True, slots=True)
class Form:
    """``values`` by field; ``errors`` by field, under the empty name those of the form as a whole."""

    values: Mapping[str, str]
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The idempotency key that a form keeps however often it is sent: a second click does nothing twice."""
        return self.values.get("idempotency_key") or secrets.token_urlsafe(16)


def errors_of(refused: Iterable[tuple[str | None, str]], fields: Iterable[str]) -> dict[str, str]:
    """Messages by the field of the form that they are about; what is about none of them goes to the whole."""
    known, found = set(fields), dict[str, str]()
    for name, message in refused:
        own = to_snake_case(name) if name else ""
        place = own if own in known else ""
        found[place] = f"{found[place]}; {message}" if place in found else message
    return found


def given(form: Mapping[str, str], name: str) -> str | None:
    """What a field holds; None when it was left empty."""
    text = form.get(name, "").strip().replace("\r\n", "\n")  # as browsers send the lines of a text
    return text or None
