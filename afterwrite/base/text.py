"""Validation, normalization and quoting of client texts. Standard library only."""

import re
import unicodedata
from functools import lru_cache

# Control characters are useless to a search, PostgreSQL rejects NUL, and lone surrogates cannot be encoded.
_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
# A URL is one line: no tabs, no line breaks.
_UNUSABLE_IN_URL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def find_unusable(text: str) -> re.Match[str] | None:
    """The first character that no text may contain; tabs and line breaks are allowed."""
    return _UNUSABLE.search(text)


def find_unusable_in_url(text: str) -> re.Match[str] | None:
    """The first character that no URL may contain: those of ``find_unusable``, tabs and line breaks."""
    return _UNUSABLE_IN_URL.search(text)


def unprintable_character(text: str) -> str | None:
    """The first control, format or line separator character, or None.

    A name with one could break a log line or look like another name.
    """
    if text.isprintable():  # the fast path; it rejects printable spaces of other scripts, which the loop accepts
        return None
    return next((letter for letter in text if unicodedata.category(letter) in _UNPRINTABLE), None)


def storable(text: str) -> str:
    """The text as both databases accept it: lone surrogates become ``?``, NUL becomes U+FFFD."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def composed(text: str) -> str:
    """The text in NFC: é is one character, not e with a combining accent."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """The text normalized for search: case-folded, in NFC."""
    return text.lower() if text.isascii() else composed(composed(text).casefold())


def shorten(text: str, most: int = 60) -> str:
    """The text cut to ``most`` characters for a message, with an ellipsis if it was longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


@lru_cache(maxsize=1024)
def camel_case(name: str) -> str:
    """The API name of a field, as Graphene forms it: rating_rate becomes ratingRate."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() or "_" for part in rest)
