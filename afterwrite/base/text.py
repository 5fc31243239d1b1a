"""Checks, folds and quotes texts that clients send. Standard library only."""

import re
import unicodedata

# Control characters end in no index and PostgreSQL refuses NUL; lone surrogates cannot be encoded.
_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
# A URL is one line: tabs and line ends are refused too.
_UNUSABLE_IN_URL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def find_unusable(text: str) -> re.Match[str] | None:
    """The first character that no text of ours may have; a tab and line ends are allowed."""
    return _UNUSABLE.search(text)


def find_unusable_in_url(text: str) -> re.Match[str] | None:
    """The first character that no URL may have: those of ``find_unusable``, tabs and line ends."""
    return _UNUSABLE_IN_URL.search(text)


def unprintable_character(text: str) -> str | None:
    """The first character that a name in one line may not have, or None: a control, a format or a line separator.

    Such a name breaks a line of a log, or looks like another one.
    """
    if text.isprintable():  # as almost every name is; but spaces of other scripts are not, and print well
        return None
    return next((letter for letter in text if unicodedata.category(letter) in _UNPRINTABLE), None)


def storable(text: str) -> str:
    """The text as both databases take it: half a character, which JSON may hold, becomes ``?``, and NUL U+FFFD."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def composed(text: str) -> str:
    """The text in its composed form (NFC): é may be one character or e with an accent, and is stored as one."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """What all spellings of a text have in common that a search takes for the same: case-folded, and composed."""
    return text.lower() if text.isascii() else composed(composed(text).casefold())


def shorten(text: str, most: int = 60) -> str:
    """A text as a message quotes it: cut to ``most`` characters, with an ellipsis where it was longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def camel_case(name: str) -> str:
    """The name of a field in the API: rating_rate is ratingRate there, as Graphene says it."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() or "_" for part in rest)
