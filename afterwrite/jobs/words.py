"""Text normalisation: tidy texts, category names, slugs and search keywords."""

import unicodedata
from collections.abc import Iterable

SLUG_MAX = 80
KEYWORDS_MAX = 12

_ACCENTS = dict.fromkeys(range(0x300, 0x370))  # combining marks of Latin, Greek and Cyrillic


def tidy(text: str) -> str:
    """The text stripped, with each run of white space collapsed to one space, in NFC."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def category_name(category: str | None) -> str | None:
    """One name for all spellings, as of ``Mens-Shoes``, ``mens_shoes`` and ``mens shoes``."""
    if category is None:
        return None
    return tidy(category.replace("-", " ").replace("_", " ").casefold()) or None


def words(text: str) -> list[str]:
    """The words of a text in order, case-folded; letters, digits and marks of any script form a word."""
    folded = unicodedata.normalize("NFC", text.casefold())
    return "".join(char if unicodedata.category(char)[0] in "LNM" else " " for char in folded).split()


def slug(text: str) -> str:
    """The words without accents, joined by hyphens, for URLs; empty if the text has no words."""
    plain = unicodedata.normalize("NFKD", text).translate(_ACCENTS)
    return "-".join(words(plain))[:SLUG_MAX].strip("-")


def unique(slugs: Iterable[str]) -> list[str]:
    """Make slugs unique, in order: the second ``lamp`` becomes ``lamp-2``, an empty one ``product``."""
    given: set[str] = set()
    last_number: dict[str, int] = {}
    found = []
    for base in (slug or "product" for slug in slugs):
        name = base
        while name in given:
            last_number[base] = last_number.get(base, 1) + 1
            name = f"{base}-{last_number[base]}"
        given.add(name)
        found.append(name)
    return found


def keywords(title: str, category: str | None) -> list[str]:
    """The distinct words of title and category with two characters or more, at most KEYWORDS_MAX."""
    found = dict.fromkeys(word for word in words(f"{title} {category or ''}") if len(word) > 1)
    return list(found)[:KEYWORDS_MAX]
