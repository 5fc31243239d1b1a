"""Field types of other values: Boolean, Date, DateTime, Json, and Exact for arguments."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from afterwrite.base.text import shorten
from afterwrite.base.times import from_microseconds, to_microseconds
from afterwrite.resources.field import Field, FieldError, FieldProblem, decimal_of, wrong_type

TIMES = (datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))  # in every time zone
_QUOTED = 80
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Boolean(Field):
    """True or false."""

    stored, is_ordered = int, False

    def check(self, name: str, value: Any) -> int:
        if not isinstance(value, bool):
            raise wrong_type(name, value, "true or false")
        return int(value)

    def value_of(self, stored: int) -> bool:
        return bool(stored)

    def usual(self, value: str) -> tuple[str, str]:
        return f"type({value}) is bool", f"int({value})"


class Date(Field):
    """A day of the calendar: a ``datetime.date``, or its text in ISO 8601."""

    suffix, hint = "_iso", "A date such as 2026-11-30"

    def check(self, name: str, value: Any) -> str:
        if isinstance(value, str):
            try:
                value = date.fromisoformat(value)
            except ValueError:
                raise _no_time(name, value, "a date such as 2026-11-30") from None
        if not isinstance(value, date) or isinstance(value, datetime):
            raise wrong_type(name, value, "a date such as 2026-11-30")
        return value.isoformat()

    def value_of(self, stored: str) -> date:
        return date.fromisoformat(stored)

    def usual(self, value: str) -> tuple[str, str]:
        return f"type({value}) is date", f"{value}.isoformat()"


class DateTime(Field):
    """A moment: an aware ``datetime``, or its text in ISO 8601 with its offset; stored in microseconds, in UTC."""

    stored, suffix, hint = int, "_us", "A time with its offset, such as 2026-11-30T12:00:00Z"

    def check(self, name: str, value: Any) -> int:
        wanted = "a time with its offset, such as 2026-11-30T12:00:00Z"
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise _no_time(name, value, wanted) from None
        if not isinstance(value, datetime):
            raise wrong_type(name, value, wanted)
        if value.tzinfo is None:
            raise _no_time(name, value.isoformat(), wanted)
        if not TIMES[0] <= value <= TIMES[1]:
            detail = f"is {value.isoformat()}: give a time of the years 1 to 9999"
            raise FieldError(name, FieldProblem.OUT_OF_RANGE, detail)
        return to_microseconds(value)

    def value_of(self, stored: int) -> datetime:
        return from_microseconds(stored)

    def usual(self, value: str) -> tuple[str, str]:
        return (
            f"type({value}) is datetime and {value}.tzinfo is not None and TIMES[0] <= {value} <= TIMES[1]",
            f"to_microseconds({value})",
        )


class Json(Field):
    """Any JSON value of at most ``max_bytes`` as text; its strings are kept as they are given."""

    suffix, is_ordered = "_json", False

    def __init__(self, *, max_bytes: int = 64 * 1024, **given: Any) -> None:
        super().__init__(**given)
        self.max_bytes = max_bytes

    @property
    def limits(self) -> Mapping[str, Any]:
        return {"max_bytes": self.max_bytes}

    def check(self, name: str, value: Any) -> str:
        try:
            text = _encode(value)
            size = len(text.encode())
        except (TypeError, ValueError, RecursionError) as error:
            detail = f"is no JSON value that can be stored ({shorten(str(error), _QUOTED)}): change it"
            raise FieldError(name, FieldProblem.WRONG_TYPE, detail) from None
        if size > self.max_bytes:
            detail = f"has {size:,} bytes as JSON: {self.max_bytes:,} are the limit"
            raise FieldError(name, FieldProblem.TOO_LONG, detail)
        if "\\u0000" in text:
            raise FieldError(name, FieldProblem.INVALID_TEXT, "has a text with the character U+0000: remove it")
        return text

    def value_of(self, stored: str) -> Any:
        return json.loads(stored)

    def usual(self, value: str) -> tuple[str, str]:
        return "False", value

    def wrong_limits(self) -> str | None:
        if wrong := self._wrong_whole("max_bytes"):
            return wrong
        return None if self.max_bytes > 0 else f"max_bytes is {self.max_bytes}: give 1 or more"


class Exact(Field):
    """A decimal number of an operation's argument, exact; not for fields, which declare Money or Number."""

    hint = "A decimal number as a text, exact"

    def check(self, name: str, value: Any) -> str:
        try:
            number = value if isinstance(value, Decimal) else decimal_of(value) if isinstance(value, str) else None
            number = Decimal(value) if number is None and type(value) is int else number
        except InvalidOperation:
            number = None
        if number is None:
            raise wrong_type(name, value, "a decimal number")
        if not number.is_finite():
            raise FieldError(name, FieldProblem.NOT_FINITE, f"is {value}: give a finite number")
        return str(number)

    def value_of(self, stored: str) -> Decimal:
        return Decimal(stored)

    def usual(self, value: str) -> tuple[str, str]:
        return "False", value


def _no_time(name: str, text: str, wanted: str) -> FieldError:
    return FieldError(name, FieldProblem.INVALID_TIME, f"is {shorten(text, _QUOTED)!r}: give {wanted}")
