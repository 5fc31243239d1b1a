"""The product: fields, limits and validation."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from afterwrite.base.text import composed, find_unusable, folded, shorten
from afterwrite.base.times import from_microseconds

TITLE_MAX = 300
DESCRIPTION_MAX = 10_000
CATEGORY_MAX = 100
IMAGE_MAX = 2_000
PRICE_MAX_MINOR = 10**13  # at 100 billion a Float still distinguishes every cent
_PRICE_MAX = PRICE_MAX_MINOR // 100
COUNT_MAX = 2**31 - 1
PRODUCT_ID_MAX = 2**63 - 1

_CENT = Decimal("0.01")
_QUOTED = 80
_COMPOSED = ("title", "description", "category")  # not the image: normalizing a URL would change its target
_SEPARATOR = "\x1f"  # refused in every field, so no search term matches across fields


class FieldProblem(StrEnum):
    """Why a value was refused."""

    REQUIRED = "REQUIRED"
    WRONG_TYPE = "WRONG_TYPE"
    TOO_LONG = "TOO_LONG"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    NOT_FINITE = "NOT_FINITE"
    TOO_MANY_DECIMALS = "TOO_MANY_DECIMALS"
    INVALID_TEXT = "INVALID_TEXT"
    INVALID_URL = "INVALID_URL"


class FieldError(ValueError):
    """A refused value: the field, the reason, and ``detail`` with the value and the limit."""

    def __init__(self, field: str, problem: FieldProblem, detail: str) -> None:
        super().__init__(f"{field} {detail}")
        self.field, self.problem, self.detail = field, problem, detail

    def as_json(self) -> dict[str, str | None]:
        """``{"field", "code", "message"}``, as reports list it."""
        return {"field": self.field, "code": self.problem.value, "message": str(self)}


class Product(NamedTuple):
    """A stored product; money in minor units, times in microseconds since 1970 in UTC."""

    id: int
    title: str
    price_minor: int
    description: str | None
    category: str | None
    image: str | None
    rating_rate: float | None
    rating_count: int | None
    created_at_us: int
    updated_at_us: int
    version: int

    @property
    def price(self) -> float:
        """The price in major units, as the nearest float; it prints with at most two decimals."""
        return self.price_minor / 100

    @property
    def rating(self) -> dict[str, float | int | None] | None:
        """``{"rate": 4.8, "count": 342}``, or None if both are unknown."""
        if self.rating_rate is None and self.rating_count is None:
            return None
        return {"rate": self.rating_rate, "count": self.rating_count}

    @property
    def created_at(self) -> datetime:
        """When its create was accepted."""
        return from_microseconds(self.created_at_us)

    @property
    def updated_at(self) -> datetime:
        """When its last applied write was accepted."""
        return from_microseconds(self.updated_at_us)

    @property
    def search_text(self) -> str:
        """The text that searches match."""
        return search_text(self.title, self.description, self.category)


def search_text(title: str, description: str | None, category: str | None) -> str:
    """Title, description and category, folded; a folded search term matches as a substring."""
    return folded(f"{title}{_SEPARATOR}{description or ''}{_SEPARATOR}{category or ''}")


def composed_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Stored fields with their texts in NFC, as from ``check_fields``; version 0.1.0 stored them as sent.

    Raises TypeError or ValueError for anything but fields.
    """
    found = dict(fields)
    return found | {name: composed(found[name]) for name in _COMPOSED if isinstance(found.get(name), str)}


def check_fields(values: Mapping[str, Any], *, creating: bool) -> tuple[dict[str, Any], list[FieldError]]:
    """Validate the given fields of a product and convert them to the stored form.

    ``values`` maps title, price, description, category, image, rating_rate and rating_count to what a client sent, or
    to a FieldError if that could not be parsed. An absent field stays unchanged; None sets an optional field to null;
    with ``creating``, title and price are required. Returns the stored form (``price`` becomes ``price_minor``) and
    all errors in field order.
    """
    if creating and (usual := _stored_if_usual(values)) is not None:
        return usual, []
    checked: dict[str, Any] = {}
    refused: list[FieldError] = []
    for name, (stored_name, required, check) in _FIELDS.items():
        value = values.get(name)
        if value is None:
            if required and (creating or name in values):
                refused.append(FieldError(name, FieldProblem.REQUIRED, "is required and cannot be null"))
            elif not required and (creating or name in values):
                checked[stored_name] = None
            continue
        if isinstance(value, FieldError):
            refused.append(value)
            continue
        try:
            checked[stored_name] = check(name, value)
        except FieldError as error:
            refused.append(error)
    return checked, refused


def _stored_if_usual(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """A fast path for ordinary new products: the result of the loop in ``check_fields`` in a third of its time.

    None does not mean invalid: run the loop. A test checks that both agree.
    """
    title, price, description, category, image, rate, count = map(values.get, _FIELDS)
    if (
        (
            type(title) is str
            and 0 < len(title := composed(title)) <= TITLE_MAX
            and title.isprintable()
            and not title.isspace()
        )
        and (type(price) is float and 0 <= price <= _PRICE_MAX)
        and (minor := round(price * 100)) / 100 == price
        and (
            description is None
            or (
                type(description) is str
                and len(description := composed(description)) <= DESCRIPTION_MAX
                and description.isprintable()
            )
        )
        and (
            category is None
            or (
                type(category) is str and len(category := composed(category)) <= CATEGORY_MAX and category.isprintable()
            )
        )
        and (image is None or (type(image) is str and len(image) <= IMAGE_MAX and _is_plain_url(image)))
        and (rate is None or (type(rate) is float and 0 <= rate <= 5))
        and (count is None or (type(count) is int and 0 <= count <= COUNT_MAX))
    ):
        return {
            "title": title,
            "price_minor": minor,
            "description": description,
            "category": category,
            "image": image,
            "rating_rate": rate,
            "rating_count": count,
        }
    return None


def stored_names() -> dict[str, bool]:
    """The stored field names, each with whether it is required."""
    return {stored: required for stored, required, _ in _FIELDS.values()}


def check_title(field: str, value: Any) -> str:
    """A text that is not blank, of at most TITLE_MAX characters."""
    text = _check_composed(field, value, TITLE_MAX)
    if not text or text.isspace():
        raise FieldError(field, FieldProblem.REQUIRED, f"is empty: give a text of 1 to {TITLE_MAX} characters")
    return text


def check_price(field: str, value: Any) -> int:
    """A number or decimal text in minor units, exactly: more than two decimals are refused, not rounded."""
    if isinstance(value, float):
        return _price_of_float(field, value)
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise _wrong_type(field, value, "a number")
    try:
        price = _decimal_of(value) if isinstance(value, str) else Decimal(value)
    except InvalidOperation:
        raise _wrong_type(field, value, "a number") from None
    if not price.is_finite():
        raise FieldError(field, FieldProblem.NOT_FINITE, f"is {value}: give a finite number")
    _check_price_range(field, price, value)
    cents = price.quantize(_CENT)
    if cents != price:  # exact for any number of digits
        raise _too_many_decimals(field, value)
    return int(cents.scaleb(2))


def check_rating_rate(field: str, value: Any) -> float:
    """A number from 0 to 5."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(field, value, "a number from 0 to 5")
    if not 0 <= value <= 5:  # also false for NaN
        raise FieldError(field, FieldProblem.OUT_OF_RANGE, f"is {value}: give a number from 0 to 5")
    return float(value)


def check_rating_count(field: str, value: Any) -> int:
    """A whole number from 0 to COUNT_MAX."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(field, value, "a whole number")
    if not 0 <= value <= COUNT_MAX:
        raise FieldError(field, FieldProblem.OUT_OF_RANGE, f"is {value}: give a whole number from 0 to {COUNT_MAX}")
    return value


def check_image(field: str, value: Any) -> str:
    """An absolute http or https URL with a host."""
    text = _check_text(field, value, IMAGE_MAX)
    if not _is_plain_url(text) and not _is_url(text):
        raise FieldError(
            field,
            FieldProblem.INVALID_URL,
            f"is {shorten(text, _QUOTED)!r}: give an absolute URL that starts with http:// or https://",
        )
    return text


def _check_composed(field: str, value: Any, longest: int) -> str:
    return _check_text(field, composed(value) if isinstance(value, str) else value, longest)


def _check_text(field: str, value: Any, longest: int) -> str:
    if not isinstance(value, str):
        raise _wrong_type(field, value, "a text")
    if len(value) > longest:
        raise FieldError(field, FieldProblem.TOO_LONG, f"has {len(value):,} characters: {longest:,} are the limit")
    if not value.isprintable() and (found := find_unusable(value)):  # almost every text is printable
        raise FieldError(
            field,
            FieldProblem.INVALID_TEXT,
            f"has the character U+{ord(found[0]):04X} at position {found.start()}: remove it",
        )
    return value


def _is_plain_url(text: str) -> bool:
    """A fast check for common image URLs: parsing every URL would slow down loads."""
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


def _price_of_float(field: str, value: float) -> int:
    if not math.isfinite(value):
        raise FieldError(field, FieldProblem.NOT_FINITE, f"is {value}: give a finite number")
    _check_price_range(field, value, value)
    minor = round(value * 100)
    # Division rounds correctly, so it returns the same float only if that had at most two decimals.
    if minor / 100 != value:
        raise _too_many_decimals(field, value)
    return minor


def _decimal_of(text: str) -> Decimal:
    if "_" in text:  # Decimal accepts 1_000; JSON, CSV and people do not write that
        raise InvalidOperation
    return Decimal(text.strip())


def _check_price_range(field: str, price: float | Decimal, value: Any) -> None:
    if not 0 <= price <= _PRICE_MAX:
        raise FieldError(
            field, FieldProblem.OUT_OF_RANGE, f"is {shorten(str(value), _QUOTED)}: give a number from 0 to {_PRICE_MAX}"
        )


def _too_many_decimals(field: str, value: Any) -> FieldError:
    return FieldError(
        field, FieldProblem.TOO_MANY_DECIMALS, f"is {shorten(str(value), _QUOTED)}: give at most two decimals"
    )


def _wrong_type(field: str, value: Any, wanted: str) -> FieldError:
    return FieldError(field, FieldProblem.WRONG_TYPE, f"is {shorten(repr(value), _QUOTED)}: give {wanted}")


_FIELDS: dict[str, tuple[str, bool, Callable[[str, Any], Any]]] = {
    "title": ("title", True, check_title),
    "price": ("price_minor", True, check_price),
    "description": ("description", False, partial(_check_composed, longest=DESCRIPTION_MAX)),
    "category": ("category", False, partial(_check_composed, longest=CATEGORY_MAX)),
    "image": ("image", False, check_image),
    "rating_rate": ("rating_rate", False, check_rating_rate),
    "rating_count": ("rating_count", False, check_rating_count),
}
