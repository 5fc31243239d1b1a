"""Brings the field names of common product feeds into ours; decides nothing about the values."""

import json
from collections.abc import Mapping
from typing import Any

NAMES = """\
  title         title, name
  price         price: a number, or a text such as "19.99"
  description   description
  category      category: a text, or {"name": ...}
  image         image, image_url, imageUrl, thumbnail, images[0]: the first that is not empty
  rating_rate   rating: a number or {"rate": ..., "count": ...}, rating_rate, ratingRate
  rating_count  rating: {"rate": ..., "count": ...}, rating_count, ratingCount
Every other field is ignored, the id too: each product gets a new id."""

_CSV_NAMES = (
    "title name price description category image image_url imageUrl thumbnail images "
    "rating rating_rate ratingRate rating_count ratingCount"
)
_COLUMNS = {name.lower(): name for name in _CSV_NAMES.split()} | {
    "images[0]": "images",
    "images.0": "images",
    "rating.rate": "rating_rate",
    "rating.count": "rating_count",
}


def product_fields(item: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of one product of a feed, as ``product.check_fields`` takes them; every field is there."""
    get = item.get
    title = get("title")
    category = get("category")
    rate, count = _rating(item)
    return {
        "title": get("name") if title is None else title,
        "price": get("price"),
        "description": get("description"),
        "category": category.get("name") if type(category) is dict else category,
        "image": get("image") or _other_image(item),
        "rating_rate": rate,
        "rating_count": count,
    }


def column_name(header: str) -> str | None:
    """The field that a CSV column gives, whatever the case of its header; None when it is ignored."""
    return _COLUMNS.get(header.strip().lower())


def cell_value(name: str, text: str) -> Any:
    """The value of a CSV cell: empty is null; ``rating``, ``images`` and ``category`` may be JSON."""
    if not text:
        return None
    if name in ("rating", "images", "category") and text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text  # refused with its value where it is no text that fits
    return text


def _other_image(item: Mapping[str, Any]) -> Any:
    images = item.get("images")
    first = (images[0] if images else None) if isinstance(images, list) else images
    return item.get("image_url") or item.get("imageUrl") or item.get("thumbnail") or first or None


def _rating(item: Mapping[str, Any]) -> tuple[Any, Any]:
    rating = item.get("rating")
    rate, count = (rating.get("rate"), rating.get("count")) if type(rating) is dict else (rating, None)
    if rate is None:
        rate = item.get("rating_rate", item.get("ratingRate"))
    if count is None:
        count = item.get("rating_count", item.get("ratingCount"))
    if type(rate) is str:
        rate = _number(rate)
    if type(count) is not int and count is not None:
        count = _whole_number(count)
    return rate, count


def _number(value: Any) -> Any:
    """The number that a text gives; any other value as it is, to be refused with its value."""
    try:
        return float(value) if type(value) is str else value
    except ValueError:
        return value


def _whole_number(value: Any) -> Any:
    # Feeds that know one kind of number, and spreadsheets, write 342 as 342.0.
    number = _number(value)
    return int(number) if type(number) is float and number.is_integer() else value
