"""What version 0.1.0 fixed: it had one resource, and its stored writes and idempotency keys must count for ever."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from afterwrite.base.text import composed, folded

RESOURCE, TABLE = "Product", "products"
"""The resource of every write that does not name one, and its table."""
ALWAYS_WRITTEN = frozenset({"title", "price_minor", "description", "category", "image", "rating_rate", "rating_count"})
"""The stored fields that every create of a product has, with null for an absent one.

0.1.0 cannot read a create without them, and compared idempotency keys by that text.
"""
DECLARATION: Mapping[str, Any] = {
    "table": TABLE,
    "fields": {
        "title": {"type": "Text", "required": True, "limits": {"max_length": 300}},
        "price_minor": {"type": "Money", "required": True, "limits": {"minimum": 0, "maximum": 10**11, "decimals": 2}},
        "description": {"type": "Text", "required": False, "limits": {"max_length": 10_000}},
        "category": {"type": "Text", "required": False, "limits": {"max_length": 100}},
        "image": {"type": "Url", "required": False, "limits": {"max_length": 2_000}},
        "rating_rate": {"type": "Number", "required": False, "limits": {"minimum": 0, "maximum": 5}},
        "rating_count": {"type": "Integer", "required": False, "limits": {"minimum": 0, "maximum": 2**31 - 1}},
    },
    "searched": ["title", "description", "category"],
    "operations": {},
    "indexes": {
        "products_by_title": ["title", False, True, True],
        "products_by_price": ["price_minor", False, True, True],
        "products_by_category": ["category", False, False, False],
        "products_search": ["search_text"],
    },
}
"""What its table follows, which was made before declarations were recorded."""
_SEPARATOR = "\x1f"  # refused in every field, so no search term matches across fields


def search_text(*texts: str | None) -> str:
    """The text that searches match: the searched fields in their order, folded; a folded term matches a part of it."""
    return folded(_SEPARATOR.join(text or "" for text in texts))


def search_texts(columns: Iterable[Sequence[str | None]]) -> list[str]:
    """The same for many records, of the columns of the searched fields."""
    given = [[text or "" for text in column] for column in columns]
    return list(map(folded, map(_SEPARATOR.join, zip(*given, strict=True))))


def composed_texts(fields: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Stored fields with the texts of these names in NFC; 0.1.0 stored them as sent. Raises TypeError or ValueError."""
    found = dict(fields)
    return found | {name: composed(found[name]) for name in names & found.keys() if isinstance(found[name], str)}
