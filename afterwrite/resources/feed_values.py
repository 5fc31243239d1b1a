"""Reads the values of product feeds and other files by the type of their field."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from afterwrite.resources.feed_numbers import DecimalSign, FeedNumber, feed_number
from afterwrite.resources.field import Field, FieldError, FieldProblem, decimal_of
from afterwrite.resources.number_fields import Integer, Money, Number
from afterwrite.resources.text_fields import Choice, Text, Url
from afterwrite.resources.value_fields import Boolean, Json

Read = Callable[[Any], Any]

_CURRENCIES_NOTED = 20
_PICTURE_PARTS = ("src", "url", "href")
_MISSING = frozenset({"", "-", "--", "\u2013", "\u2014", "n/a", "na", "n.a.", "#n/a", "nan", "nil", "none", "null"})
_LONGEST_MARK = 20  # with space around it
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
# A comma may be part of a URL; before another URL it is a separator.
_NEXT_URL = re.compile(r"[\s,;|]+(?=https?://)", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]{1,2})?")
_MOST_DIGITS, _EXACT_DIGITS = 18, 15  # a float tells apart all numbers of 15 digits
_PLAIN_WHOLE = re.compile(rf"[0-9]{{1,{_MOST_DIGITS}}}")
_THOUSAND = 1_000  # in a number below it, no sign separates thousands


class FeedValues:
    """The values of one feed, and what its numbers show; for one thread.

    ``decimal`` is the decimal separator for ambiguous numbers such as 1,234. Without it, ``whole`` is called once for
    the separators that the unambiguous numbers of the whole feed use; ``ask`` tells the user how to give one.
    ``seen_signs`` are the separators seen so far, ``doubt`` is the first number that stayed ambiguous. ``currencies``
    counts the amounts of each Money field with each currency.
    """

    def __init__(
        self, decimal: DecimalSign | None, whole: Callable[[], Collection[DecimalSign]] | None, ask: str
    ) -> None:
        self.has_semicolons = False  # as cell separators; then the point in 1.234 may group thousands
        self.decimal = decimal
        self.seen_signs = set[DecimalSign]()
        self.doubt: str | None = None
        self.currencies: dict[str, dict[str, int]] = {}
        self._whole, self._ask = whole, ask
        self._signs_of_whole: Collection[DecimalSign] = ()

    def reader_of(self, field: Field) -> Read | None:
        """What reads a value of a field; None if it stays as it is.

        A value that cannot be parsed stays as it is, to be refused later, or becomes a FieldError. A text such as N/A
        is null unless the field needs a value.
        """
        parse = _parser_of(field)
        if parse is None:
            return None
        may_miss = not field.required or field.default is not None

        def read(value: Any) -> Any:
            found = parse(self, field, value)
            return None if may_miss and type(found) is str and is_missing(found) else found

        return read

    def count_currency(self, field: Field, currency: str) -> None:
        """Record the currency of an amount."""
        counts = self.currencies.setdefault(field.name, {})
        if currency in counts or len(counts) < _CURRENCIES_NOTED:
            counts[currency] = counts.get(currency, 0) + 1

    def decided(self, field: Field, text: str, found: FeedNumber) -> str | FieldError:
        """The parsed number, or an error if it is ambiguous."""
        if found.as_decimal is None or found.as_grouped is None:
            if found.evident_sign is not None:
                self.seen_signs.add(found.evident_sign)
            return found.as_decimal or found.as_grouped or text
        if self.decimal is None and self._whole is not None:
            self._signs_of_whole, self._whole = self._whole(), None
            self.decimal = only_sign(self._signs_of_whole)
        if self.decimal is not None:
            return found.as_decimal if found.sign == self.decimal.mark else found.as_grouped
        if found.sign == "." and not self.has_semicolons and not self._signs_of_whole:
            return found.as_decimal
        error = FieldError(
            field.name,
            FieldProblem.WRONG_TYPE,
            f"is {text[:40]!r}, which is {found.as_grouped} or {found.as_decimal}, and the other numbers do not show "
            f"the decimal sign: {self._ask}",
        )
        self.doubt = self.doubt or str(error)
        return error


def keeps_texts(field: Field) -> bool:
    """Whether a text is a value of the field as it stands, N/A too."""
    return _parser_of(field) is None


def reads_numbers(field: Field) -> bool:
    """Whether a text is read as a number, which may depend on the other numbers of the feed."""
    return _parser_of(field) in (_money, _number) or _reads_wholes(field)


def plain_numbers(field: Field, texts: Sequence[str]) -> list[float] | list[int] | None:
    """The numbers in texts of plain digits for a field that ``reads_numbers``; None if one is written otherwise."""
    if _reads_wholes(field):
        return list(map(int, texts)) if all(map(_PLAIN_WHOLE.fullmatch, texts)) else None
    is_plain = max(map(len, texts)) <= _EXACT_DIGITS and all(map(_PLAIN_NUMBER.fullmatch, texts))
    return list(map(float, texts)) if is_plain else None


def _reads_wholes(field: Field) -> bool:
    parse = _parser_of(field)
    return parse is _whole_number or (parse is _other and field.stored is int and not field.suffix)


def only_sign(signs: Collection[DecimalSign]) -> DecimalSign | None:
    """The decimal separator, if exactly one was seen."""
    return next(iter(signs)) if len(signs) == 1 else None


def is_missing(text: str) -> bool:
    """Whether a text such as N/A stands for no value."""
    return len(text) < _LONGEST_MARK and text.strip().casefold() in _MISSING


def _money(values: FeedValues, field: Money, value: Any) -> Any:
    if type(value) is not str:
        return value
    if _PLAIN_NUMBER.fullmatch(value):
        if "." in value:
            values.seen_signs.add(DecimalSign.POINT)
        return value
    found = feed_number(value)
    if found is None:
        return value
    if found.currency is not None:
        if field.currency and found.currency.isalpha() and found.currency != field.currency:
            detail = f"is {value[:40]!r}: give an amount in {field.currency}"
            return FieldError(field.name, FieldProblem.WRONG_TYPE, detail)
        values.count_currency(field, found.currency)
    return values.decided(field, value, found)


def _number(values: FeedValues, field: Number, value: Any) -> Any:
    if type(value) is not str:
        return value
    is_small = field.maximum is not None and field.maximum < _THOUSAND
    if is_small and _PLAIN_NUMBER.fullmatch(value):
        return float(value)
    found, text = feed_number(value), value
    if found is not None:
        decided = (found.as_decimal or value) if is_small else values.decided(field, value, found)
        if isinstance(decided, FieldError):
            return decided
        text = decided
    number = _decimal(text)
    return value if number is None or (number and not float(number)) else float(number)


def _whole_number(values: FeedValues, field: Field, value: Any) -> Any:
    if type(value) is float and value.is_integer():  # feeds with a single number type write 342.0
        return int(value)
    if type(value) is not str:
        return value
    if _PLAIN_WHOLE.fullmatch(value):
        return int(value)
    found = feed_number(value)
    if found is None:
        return _whole(value, value)
    if found.is_ambiguous and found.as_decimal and found.as_decimal.partition(".")[2].strip("0"):
        return _whole(found.as_grouped or "", value)  # a whole number has no fraction
    decided = values.decided(field, value, found)
    return decided if isinstance(decided, FieldError) else _whole(decided, value)


def _boolean(_values: FeedValues, _field: Field, value: Any) -> Any:
    return _TRUTHS.get(value.strip().casefold(), value) if type(value) is str else value


def _first_url(_values: FeedValues, _field: Field, value: Any) -> Any:
    """The first URL in a text with one or more, an object or a list; None if it is empty."""
    if type(value) is list:
        value = next((one for one in value if one), None)
    if type(value) is dict:
        value = next((value[name] for name in _PICTURE_PARTS if name in value), value)
    if type(value) is not str:
        return value or None
    text = value.strip()
    if text[:4] == "http" and text.find("://", 8) < 0:
        return text
    return _NEXT_URL.split(text, maxsplit=1)[0]


def _other(values: FeedValues, field: Field, value: Any) -> Any:
    return _whole_number(values, field, value) if field.stored is int and not field.suffix else value


# By type, for its subclasses too. N/A is a text where there is no parser.
_PARSERS: Mapping[type, Callable[[FeedValues, Any, Any], Any] | None] = {
    Money: _money,
    Number: _number,
    Integer: _whole_number,
    Boolean: _boolean,
    Url: _first_url,
    Text: None,
    Choice: None,
    Json: None,
    Field: _other,
}


def _parser_of(field: Field) -> Callable[[FeedValues, Any, Any], Any] | None:
    return next(_PARSERS[kind] for kind in type(field).__mro__ if kind in _PARSERS)


PLAIN: Mapping[type, type] = {Money: float, Number: float, Integer: int, Boolean: bool, Text: str}
"""The type of values that need no reader."""


def _whole(digits: str, text: str) -> Any:
    number = _decimal(digits)
    if number is None or number.adjusted() > _MOST_DIGITS or number != number.to_integral_value():
        return text
    return int(number)


def _decimal(text: str) -> Decimal | None:
    try:
        number = decimal_of(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
