"""Parser for numbers in product feeds: 12,50 and 1.234,56 and 15.00 USD."""

import re
from enum import StrEnum
from typing import NamedTuple


class DecimalSign(StrEnum):
    """The decimal separator of a number."""

    POINT = "point"
    COMMA = "comma"

    @property
    def mark(self) -> str:
        """The character."""
        return "." if self is DecimalSign.POINT else ","

    @property
    def other(self) -> "DecimalSign":
        """The other separator, which then groups thousands."""
        return DecimalSign.COMMA if self is DecimalSign.POINT else DecimalSign.POINT


class FeedNumber(NamedTuple):
    """The possible readings of a text as a number, in plain digits with a point.

    ``as_decimal`` reads the only separator as decimal, ``as_grouped`` as thousands. An ambiguous text such as ``1,234``
    has both; ``sign`` is that separator. ``currency`` stands before or after the number. ``evident_sign`` is the
    decimal separator if the text proves it, as ``12,50`` and ``1.234.567`` do.
    """

    as_decimal: str | None
    as_grouped: str | None
    sign: str | None
    currency: str | None
    evident_sign: DecimalSign | None

    @property
    def is_ambiguous(self) -> bool:
        """Whether both readings are possible."""
        return self.as_decimal is not None and self.as_grouped is not None


# A code such as USD, or a sign such as €, US$ or R$.
_CURRENCY = "[A-Z]{3}|[A-Z]{0,2}[$¢£¥֏؋৳฿៛\u20a0-\u20cf\ufdfc\uff04\uffe1\uffe5\uffe6]"
_PARTS = re.compile(
    rf"(?P<before>{_CURRENCY})?\s*(?P<minus>[+-]?)(?P<digits>[0-9](?:[0-9.,'\u2019\s]*[0-9])?)\s*(?P<after>{_CURRENCY})?"
)
_SPACES = re.compile(r"['\u2019\s]")
_DECIMAL = re.compile(r"([0-9]+)(?:([.,])([0-9]+))?")
_GROUPED = [
    re.compile(rf"([1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+)(?:[{other}]([0-9]+))?")
    for group, other in ((r"\.", ","), (",", "."), (" ", ".,"))
]
# Lakh and crore: 12,34,567.00.
_GROUPED.append(re.compile(r"([1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3})(?:\.([0-9]+))?"))
_SIGNS = {sign.mark: sign for sign in DecimalSign}


def feed_number(text: str) -> FeedNumber | None:
    """Parse a text; None if it is not a number, or one that only programs write, such as 1e3."""
    parts = _PARTS.fullmatch(text.strip())
    if parts is None:
        return None
    digits = _SPACES.sub(" ", parts["digits"])
    minus = parts["minus"].removeprefix("+")
    decimal = _DECIMAL.fullmatch(digits)
    grouped = next((found for pattern in _GROUPED if (found := pattern.fullmatch(digits))), None)
    if decimal is None and grouped is None:
        return None
    return FeedNumber(
        None if decimal is None else _plain(minus, decimal[1], decimal[3]),
        None if grouped is None else _plain(minus, re.sub("[., ]", "", grouped[1]), grouped[2]),
        None if decimal is None else decimal[2],
        _currency(parts["before"], parts["after"]),
        None if decimal is not None and grouped is not None else _evident_sign(digits, grouped),
    )


def _evident_sign(digits: str, grouped: re.Match[str] | None) -> DecimalSign | None:
    """The decimal sign that the digits of a number show which can be read in one way only."""
    between = next((mark for mark in _SIGNS if grouped is not None and mark in grouped[1]), None)
    if between is not None:
        return _SIGNS[between].other
    return next((sign for mark, sign in _SIGNS.items() if mark in digits), None)


def _plain(minus: str, whole: str, fraction: str | None) -> str:
    return f"{minus}{whole}" if fraction is None else f"{minus}{whole}.{fraction}"


def _currency(before: str | None, after: str | None) -> str | None:
    """The currency; in ``$15.00 USD`` the code wins, because it is more specific."""
    return after if after is not None and after.isalpha() else before or after
