"""Product feeds: maps the field names and value formats of other systems to ours and records what was ignored."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from afterwrite.base.text import shorten
from afterwrite.resources.feed_numbers import DecimalSign, FeedNumber, feed_number
from afterwrite.resources.field import FieldError, FieldProblem

NAMES = """\
  title         title, name
  price         price: a number, or a text such as "19.99", "1.234,50" or "15.00 USD"
  description   description
  category      category, product_type: a text, or {"name": ...}
  image         image, image_url, imageUrl, image_link, thumbnail, images (images[0] in CSV): the first that is not
                empty, and of several pictures the first; a picture is a URL or {"src": ...}
  rating_rate   rating: a number or {"rate": ..., "count": ...}, rating_rate, ratingRate
  rating_count  rating: {"rate": ..., "count": ...}, rating_count, ratingCount
Every other name is ignored and reported, even the id: each product gets a new id. N/A and the like count as empty in a
picture and a rating."""

NAMES_NOTED = 50
_CURRENCIES_NOTED = 20
_IMAGE_NAMES = ("image", "image_url", "imageUrl", "image_link", "thumbnail", "images")
_RATE_NAMES, _COUNT_NAMES = ("rating_rate", "ratingRate"), ("rating_count", "ratingCount")
# In each group, the first name with a value wins.
_ALIASES = (("title", "name"), ("category", "product_type"), _IMAGE_NAMES, _RATE_NAMES, _COUNT_NAMES)
_PLAIN_NAMES = frozenset(("title", "price", "description", "category", "image", "rating_rate", "rating_count"))
KNOWN_NAMES = _PLAIN_NAMES.union(("rating",), *_ALIASES)
_PARTS = {"category": frozenset({"name"}), "rating": frozenset({"rate", "count"})}
_PICTURE_PARTS = ("src", "url", "href")
_MISSING = frozenset({"", "-", "--", "\u2013", "\u2014", "n/a", "na", "n.a.", "#n/a", "nan", "nil", "none", "null"})
# A comma may be part of a URL; before another URL it is a separator.
_NEXT_PICTURE = re.compile(r"[\s,;|]+(?=https?://)", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]{1,2})?")
_MOST_DIGITS = 18
_ASK = 'give "decimal": "point" or "comma" next to the products'
_PLAIN_COUNT = re.compile(rf"[0-9]{{1,{_MOST_DIGITS}}}")


class FeedReader:
    """Reads the products of one feed and records what it ignored; for one thread.

    ``decimal`` is the decimal separator for ambiguous numbers such as 1,234. Without it, ``whole`` is called once for
    the separators that the unambiguous numbers of the whole feed use; ``ask`` tells the user how to give one.
    ``seen_signs`` are the separators seen so far, ``doubt`` is the first number that stayed ambiguous. ``ignored`` has
    each ignored name once; ``currencies`` counts the prices with each currency.
    """

    def __init__(
        self,
        decimal: DecimalSign | None = None,
        whole: Callable[[], Collection[DecimalSign]] | None = None,
        ask: str = _ASK,
    ) -> None:
        self.has_semicolons = False  # as cell separators; then the point in 1.234 may group thousands
        self.ignored: dict[str, None] = {}
        self.currencies: dict[str, int] = {}
        self.decimal = decimal
        self.seen_signs = set[DecimalSign]()
        self.doubt: str | None = None
        self._whole, self._ask = whole, ask
        self._signs_of_whole: Collection[DecimalSign] = ()

    def fields(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of one product for the check of a new product; every field is present.

        A value that cannot be parsed stays as it is, to be refused later, or becomes a FieldError.
        """
        if not item.keys() <= _PLAIN_NAMES:
            self._note_names(item)
        get = item.get
        title, category, price = get("title"), get("category"), get("price")
        if category is None or category == "":
            category = get("product_type", category)
        if type(category) is dict:
            self._note_parts("category", category)
            category = category.get("name")
        rate, count = self._rating(item)
        return {
            "title": get("name") if title is None else title,
            "price": self._price(price) if type(price) is str else price,
            "description": get("description"),
            "category": category,
            "image": _picture(get("image")) or _other_picture(item),
            "rating_rate": rate,
            "rating_count": count,
        }

    def ignore(self, name: str) -> None:
        """Record an ignored name, up to NAMES_NOTED of them."""
        if len(self.ignored) < NAMES_NOTED:
            self.ignored[shorten(name if name.isprintable() else repr(name)[1:-1])] = None
        else:
            self.ignored["…"] = None

    def notes(self) -> list[str]:
        """What was ignored, one sentence for each kind."""
        found = []
        if self.ignored:
            found.append(f"Columns ignored: {', '.join(self.ignored)}")
        if len(self.currencies) == 1:
            found.append(f"Prices are in {next(iter(self.currencies))}. Only the amounts were kept")
        elif self.currencies:
            counts = ", ".join(f"{name} {count:,}" for name, count in self.currencies.items())
            found.append(
                f"Prices are in several currencies ({counts}). Only the amounts were kept, nothing was converted: load "
                "one file per currency"
            )
        return found

    def _note_names(self, item: Mapping[str, Any]) -> None:
        for name in item:
            if name not in KNOWN_NAMES:
                self.ignore(name)
        for names in _ALIASES:
            given = [name for name in names if item.get(name) not in (None, "", [])]
            for name in given[1:]:
                if item[name] != item[given[0]]:
                    self.ignore(name)

    def _note_parts(self, name: str, parts: Mapping[str, Any]) -> None:
        for part in parts:
            if part not in _PARTS[name]:
                self.ignore(f"{name}.{part}")

    def _rating(self, item: Mapping[str, Any]) -> tuple[Any, Any]:
        rating = item.get("rating")
        rate, count = rating, None
        if isinstance(rating, dict):
            self._note_parts("rating", rating)
            rate, count = rating.get("rate"), rating.get("count")
        if rate is None:
            rate = _first(item, _RATE_NAMES)
        if count is None:
            count = _first(item, _COUNT_NAMES)
        if type(rate) is str:
            rate = _rate_of(rate)
        if type(count) is str:
            count = self._count_of(count)
        elif type(count) is float and count.is_integer():  # feeds with a single number type write 342.0
            count = int(count)
        return rate, count

    def _price(self, text: str) -> Any:
        if _PLAIN_NUMBER.fullmatch(text):
            if "." in text:
                self.seen_signs.add(DecimalSign.POINT)
            return text
        found = feed_number(text)
        if found is None:
            return text
        if found.currency is not None and (
            found.currency in self.currencies or len(self.currencies) < _CURRENCIES_NOTED
        ):
            self.currencies[found.currency] = self.currencies.get(found.currency, 0) + 1
        return self._decided("price", text, found)

    def _count_of(self, text: str) -> Any:
        if _PLAIN_COUNT.fullmatch(text):
            return int(text)
        if text.strip().casefold() in _MISSING:
            return None
        found = feed_number(text)
        if found is None:
            return _whole(text, text)
        if found.is_ambiguous and found.as_decimal and found.as_decimal.partition(".")[2].strip("0"):
            return _whole(found.as_grouped or "", text)  # a count has no fraction
        decided = self._decided("rating_count", text, found)
        return decided if isinstance(decided, FieldError) else _whole(decided, text)

    def _decided(self, field: str, text: str, found: FeedNumber) -> str | FieldError:
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
            field,
            FieldProblem.WRONG_TYPE,
            f"is {text[:40]!r}, which is {found.as_grouped} or {found.as_decimal}, and the other numbers do not show "
            f"the decimal sign: {self._ask}",
        )
        self.doubt = self.doubt or str(error)
        return error


def only_sign(signs: Collection[DecimalSign]) -> DecimalSign | None:
    """The decimal separator, if exactly one was seen."""
    return next(iter(signs)) if len(signs) == 1 else None


def column_name(header: str) -> str | None:
    """The field name for a CSV header, case-insensitive; None if the column is ignored."""
    return _COLUMNS.get(header.strip().lower())


_COLUMNS = {name.lower(): name for name in KNOWN_NAMES} | {
    "images[0]": "images",
    "images.0": "images",
    "rating.rate": "rating_rate",
    "rating.count": "rating_count",
}


def _first(item: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((item[name] for name in names if item.get(name) is not None), None)


def _other_picture(item: Mapping[str, Any]) -> Any:
    return next((found for name in _IMAGE_NAMES[1:] if (found := _picture(item.get(name)))), None)


def _picture(value: Any) -> Any:
    """The first picture URL in a text with one or more, an object or a list; None if there is none."""
    if isinstance(value, list):
        value = next((one for one in value if one), None)
    if type(value) is dict:
        value = next((value[name] for name in _PICTURE_PARTS if name in value), value)
    if type(value) is not str:
        return value or None
    text = value.strip()
    if text[:4] == "http" and text.find("://", 8) < 0:
        return text
    return None if text.casefold() in _MISSING else _NEXT_PICTURE.split(text, maxsplit=1)[0]


def _rate_of(text: str) -> Any:
    """Parse a rating: at most 5, so a point or comma in it is always the decimal separator."""
    if _PLAIN_NUMBER.fullmatch(text):
        return float(text)
    if text.strip().casefold() in _MISSING:
        return None
    found = feed_number(text)
    number = _number(text if found is None else found.as_decimal or text)
    return text if number is None or (number and not float(number)) else float(number)


def _whole(digits: str, text: str) -> Any:
    number = _number(digits)
    if number is None or number.adjusted() > _MOST_DIGITS or number != number.to_integral_value():
        return text
    return int(number)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and "_" not in text else None
