"""How the values of a field are entered in forms, read from them, and shown in pages, by the type of the field."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from flask import url_for
from markupsafe import Markup

from afterwrite.base.text import camel_case, shorten
from afterwrite.console.template_filters import NOTHING, badge, moment, pretty_json
from afterwrite.graphql_http.strict_json import JsonRefused, decode, finite
from afterwrite.resources.field import Field, FieldError, FieldProblem
from afterwrite.resources.number_fields import Integer, Money, Number
from afterwrite.resources.reference_field import Reference
from afterwrite.resources.text_fields import Choice, Email, Text, Url
from afterwrite.resources.value_fields import Boolean, Date, DateTime, Exact, Json

LINE_MAX = 300
"""The longest text of a form's one-line control and of a cell in a list."""
_SHOWN_CHARACTERS = 60
_WIDE_FROM = 250  # characters
_LOW_TO_HIGH, _EARLIEST_FIRST = ("low to high", "high to low"), ("earliest first", "latest first")
_YES_NO = [("true", "Yes"), ("false", "No")]


@dataclass(frozen=True, slots=True)
class Control:
    """A control of a form: ``type`` is that of an HTML input, or ``select`` or ``textarea``."""

    name: str
    label: str
    type: str = "text"
    hint: str = ""
    required: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_wide(self) -> bool:
        """Whether it takes the whole width of a form."""
        return self.type in ("textarea", "url") or self.attributes.get("maxlength", 0) >= _WIDE_FROM


def _read(one: Field, _name: str, text: str) -> Any:
    try:
        return text if one.stored is str else int(text) if one.stored is int else finite(text)
    except ValueError:
        return text  # the check refuses it with its value


@dataclass(frozen=True, slots=True)
class Look:
    """How the values of a type of field look.

    ``type`` is the type of the control and ``attributes`` gives its attributes. ``text`` gives the text of a value in
    it, ``read`` the value of a text, for the check of the field: whatever is no such value, it leaves to that check.
    ``shown`` gives what a page shows of a value. ``orders`` are the words for ascending and descending.
    """

    type: str = "text"
    attributes: Callable[[Any], Mapping[str, Any]] = lambda _: {}
    text: Callable[[Any, Any], str] = lambda _, value: str(value)
    read: Callable[[Any, str, str], Any] = _read
    shown: Callable[[Any, Any], str] = lambda _, value: shorten(str(value), _SHOWN_CHARACTERS)
    orders: tuple[str, str] = ("A to Z", "Z to A")
    is_number: bool = False
    in_lists: bool = True


def look_of(one: Field) -> Look:
    """The look of a field: that of its type, or of the nearest type that it is derived from."""
    return next(LOOKS[kind] for kind in type(one).__mro__ if kind in LOOKS)


def label_of(name: str) -> str:
    """The label of a field: ``rating_rate`` is Rating rate."""
    return name.replace("_", " ").capitalize()


def control_of(one: Field, *, required: bool = False) -> Control:
    """The control for a value of a field."""
    look, kind = look_of(one), look_of(one).type
    if isinstance(one, Text) and one.max_length > LINE_MAX:
        kind = "textarea"
    return Control(one.name, label_of(one.name), kind, one.description, required, look.attributes(one))


def text_of(one: Field, value: Any) -> str:
    """The text of a value in its control; empty for None."""
    return "" if value is None else look_of(one).text(one, value)


def default_text(one: Field) -> str:
    """The text of the default in the control of a new record's field."""
    return "" if one.default is None else text_of(one, one.value_of(one.check(one.name, one.default)))


def read_value(one: Field, text: str | None) -> Any:
    """The value of a control's text for the check of the field, which may be a FieldError; None for no text."""
    return None if text is None else look_of(one).read(one, one.name, text)


def shown(one: Field, value: Any) -> str:
    """What a page shows of a value, safe in HTML."""
    return NOTHING if value is None else look_of(one).shown(one, value)


def _length(one: Text | Url) -> Mapping[str, Any]:
    return {"maxlength": one.max_length}


def _digits(one: Integer) -> Mapping[str, Any]:
    # The numeric keyboard of a phone has no minus.
    return {"inputmode": "numeric"} if one.minimum >= 0 else {}


def _decimal(_: Field) -> Mapping[str, Any]:
    return {"inputmode": "decimal"}


def _as_it_stands(_one: Field, _name: str, text: str) -> str:
    return text


def _amount(one: Money, value: Any) -> str:
    return f"{Decimal(value):,.{one.decimals}f}"


def _truth(_one: Field, _name: str, text: str) -> Any:
    return {"true": True, "false": False}.get(text, text)


def _json(_one: Field, name: str, text: str) -> Any:
    try:
        return decode(text)
    except JsonRefused as error:
        return FieldError(camel_case(name), FieldProblem.WRONG_TYPE, f"is no JSON: {error}")


def _json_shown(one: Field, value: Any) -> str:
    shown = Markup('<pre tabindex="0" role="region" aria-label="{}">{}</pre>')
    return shown.format(label_of(one.name), pretty_json(value))


def _link(_one: Field, value: str) -> str:
    return Markup('<a href="{}" rel="noreferrer">{}</a>').format(value, shorten(value, _SHOWN_CHARACTERS))


def _record_link(one: Reference, value: int) -> str:
    url = url_for(f"console.{one.target}-record", record_id=value)
    return Markup('<a href="{}">{}</a>').format(url, value)


def _utc(_one: Field, value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _day(_one: Field, value: date) -> str:
    return value.isoformat()


LOOKS: Mapping[type[Field], Look] = {
    Field: Look(),
    Text: Look(attributes=_length),
    Url: Look("url", _length, shown=_link, in_lists=False),
    Email: Look("email"),
    Choice: Look(
        "select", lambda one: {"options": [(text, text) for text in one.choices]}, shown=lambda _, v: badge(v)
    ),
    Integer: Look(attributes=_digits, orders=_LOW_TO_HIGH, is_number=True),
    Number: Look(attributes=_decimal, orders=_LOW_TO_HIGH, is_number=True),
    Money: Look(
        attributes=_decimal,
        text=lambda _, value: f"{value:f}",
        read=_as_it_stands,
        shown=_amount,
        orders=_LOW_TO_HIGH,
        is_number=True,
    ),
    Reference: Look(attributes=lambda _: {"inputmode": "numeric"}, shown=_record_link, is_number=True),
    Exact: Look(attributes=_decimal, is_number=True),
    Boolean: Look(
        "select",
        lambda _: {"options": _YES_NO},
        text=lambda _, value: str(value).lower(),
        read=_truth,
        shown=lambda _, value: "Yes" if value else "No",
    ),
    Date: Look("date", text=_day, orders=_EARLIEST_FIRST),
    DateTime: Look(text=_utc, read=_as_it_stands, shown=lambda _, value: moment(value), orders=_EARLIEST_FIRST),
    Json: Look(
        "textarea",
        lambda _: {"rows": 6},
        text=lambda _, value: json.dumps(value, indent=2, ensure_ascii=False),
        read=_json,
        shown=_json_shown,
        in_lists=False,
    ),
}
"""The looks by type of field; a type without one has that of its base."""
