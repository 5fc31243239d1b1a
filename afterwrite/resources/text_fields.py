"""Field types of texts: Text, Url, Email and Choice."""

import re
from collections.abc import Mapping, Sequence, Set
from typing import Any
from urllib.parse import urlsplit

from afterwrite.base.text import composed, shorten
from afterwrite.resources.field import Field, FieldError, FieldProblem, check_text, wrong_type

_QUOTED = 80
_STR = frozenset({str})
# The parts of an address as browsers check them in a form (WHATWG HTML, "valid e-mail address").
_EMAIL = re.compile(
    r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@"
    r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)


class _Characters(Field):
    """What has at most ``max_length`` characters."""

    max_length: int

    @property
    def limits(self) -> Mapping[str, Any]:
        return {"max_length": self.max_length}

    def wrong_limits(self) -> str | None:
        if wrong := self._wrong_whole("max_length"):
            return wrong
        return None if self.max_length > 0 else f"max_length is {self.max_length}: give 1 or more"


class Text(_Characters):
    """A text, stored in NFC, of at most ``max_length`` characters; a required one is not blank."""

    def __init__(self, *, max_length: int = 10_000, **given: Any) -> None:
        super().__init__(**given)
        self.max_length = max_length

    def check(self, name: str, value: Any) -> str:
        text = check_text(name, composed(value) if isinstance(value, str) else value, self.max_length)
        if self.required and (not text or text.isspace()):
            raise FieldError(name, FieldProblem.REQUIRED, f"is empty: give a text of 1 to {self.max_length} characters")
        return text

    def usual(self, value: str) -> tuple[str, str]:
        least, not_blank = ("0 < ", f" and not {value}.isspace()") if self.required else ("", "")
        length = f"{least}len({value} := composed({value})) <= {self.max_length}"
        return f"type({value}) is str and {length} and {value}.isprintable(){not_blank}", value

    def usual_column(self, values: Sequence[Any], kinds: Set[type], is_plain: bool) -> Sequence[Any] | None:
        if kinds != _STR:
            return None
        if not is_plain:
            values = list(map(composed, values))
            if not "".join(values).isprintable():
                return None
        is_blank = self.required and not all(map(str.strip, values))
        return None if is_blank or max(map(len, values)) > self.max_length else values


class Url(_Characters):
    """An absolute http or https URL with a host, of at most ``max_length`` characters.

    It is stored as it is given: normalizing it would change its target.
    """

    is_ordered = False
    hint = "An absolute http or https URL"

    def __init__(self, *, max_length: int = 2_000, **given: Any) -> None:
        super().__init__(**given)
        self.max_length = max_length

    def check(self, name: str, value: Any) -> str:
        text = check_text(name, value, self.max_length)
        if not is_plain_url(text) and not _is_url(text):
            shown = repr(shorten(text, _QUOTED))
            detail = f"is {shown}: give an absolute URL that starts with http:// or https://"
            raise FieldError(name, FieldProblem.INVALID_URL, detail)
        return text

    def usual(self, value: str) -> tuple[str, str]:
        return f"type({value}) is str and len({value}) <= {self.max_length} and is_plain_url({value})", value

    def usual_column(self, values: Sequence[Any], kinds: Set[type], is_plain: bool) -> Sequence[Any] | None:
        if kinds != _STR or max(map(len, values)) > self.max_length:
            return None
        text = "".join(values)
        if " " in text or not (is_plain or (text.isascii() and text.isprintable())):
            return None
        # The hosts, of which a file has few.
        return values if all(map(is_plain_url, {value[: value.find("/", 8) + 1 or None] for value in values})) else None


class Email(Field):
    """An e-mail address as a browser's form accepts it, of at most 254 characters."""

    hint = "An e-mail address"

    @property
    def limits(self) -> Mapping[str, Any]:
        return {"max_length": 254}

    def check(self, name: str, value: Any) -> str:
        text = check_text(name, value, 254)
        if not is_email(text):
            detail = f"is {shorten(text, _QUOTED)!r}: give an address such as mia@example.org"
            raise FieldError(name, FieldProblem.INVALID_EMAIL, detail)
        return text

    def usual(self, value: str) -> tuple[str, str]:
        return f"type({value}) is str and len({value}) <= 254 and is_email({value})", value


class Choice(Field):
    """One of some texts."""

    def __init__(self, *choices: str, **given: Any) -> None:
        super().__init__(**given)
        self.choices = choices

    @property
    def limits(self) -> Mapping[str, Any]:
        return {"choices": list(self.choices)}

    def check(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise wrong_type(name, value, "a text")
        if value not in self.choices:
            detail = f"is {shorten(value, _QUOTED)!r}: give one of {', '.join(self.choices)}"
            raise FieldError(name, FieldProblem.NOT_A_CHOICE, detail)
        return str(value)

    def usual(self, value: str) -> tuple[str, str]:
        return f"type({value}) is str and {value} in {self.choices!r}", value

    def wrong_limits(self) -> str | None:
        if not all(map(_is_text, self.choices)) or not self.choices or len(set(self.choices)) < len(self.choices):
            return "it needs different texts to choose from: give some, such as Choice('OPEN', 'CLOSED')"
        wrong = [choice for choice in self.choices if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", choice)]
        wrong += [choice for choice in self.choices if choice in ("true", "false", "null") or choice.startswith("__")]
        return f"{wrong[0]!r} cannot be a value of a GraphQL enum: give letters, digits and _" if wrong else None


def is_plain_url(text: str) -> bool:
    """A fast check for common URLs: parsing every URL would slow down loads."""
    if not text.startswith(("http://", "https://")) or not text.isascii():
        return False
    host = text.split("/", 3)[2]
    return host.replace(".", "").replace("-", "").isalnum() and text.isprintable() and " " not in text


def _is_url(text: str) -> bool:
    if not text[:8].lower().startswith(("http://", "https://")) or any(map(str.isspace, text)):
        return False
    try:
        return bool(urlsplit(text).hostname)
    except ValueError:
        return False


def is_email(text: str) -> bool:
    """Whether a browser's form takes the text as an address."""
    return _EMAIL.fullmatch(text) is not None


def _is_text(value: object) -> bool:
    return isinstance(value, str)
