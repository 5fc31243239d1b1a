"""JSON decoding that detects duplicate names and floats that underflow to zero."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from afterwrite.resources.feed_columns import FeedColumns, Group, Stored, grouped, texts_in

# What orjson may read inexactly: more digits than 64 bits hold, or an exponent at which a float vanishes.
_MAYBE_INEXACT = re.compile(r"[0-9]{19}|[0-9.][eE]-[0-9]{3}")
_DELETE = "\x7f"  # the one character that is not printable and may stand in ASCII JSON without an escape


class JsonValues:
    """Decodes values one by one; ``trouble`` says why the last one is unusable. For one thread."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self._decode = json.JSONDecoder(object_pairs_hook=self._object, parse_float=_float).raw_decode

    def decode(self, text: str, start: int = 0) -> tuple[Any, int]:
        """The value at ``start`` and its end; raises as ``json.JSONDecoder.raw_decode`` does."""
        self.trouble = None
        return self._decode(text, start)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen = set[str]()
            repeated = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            self.trouble = f"an object has the name {repeated[:60]!r} twice: keep one of them"
        return found


def stored_lines(columns: FeedColumns, lines: Sequence[str], is_usable: Callable[[Group], bool]) -> list[Stored]:
    """The stored values of the ordinary ones among lines of one object each, None for the others.

    Groups of objects that are not usable are left out.
    """
    text = "\n".join(lines)
    try:
        items = list(map(orjson.loads, lines))
    except ValueError:
        items = list(map(_loaded, lines))
    items = [item if type(item) is dict else None for item in items]
    groups = grouped(items)
    if not _are_whole(groups, text):
        items = [
            item if item is not None and _is_whole(item, line) else None
            for item, line in zip(items, lines, strict=True)
        ]
        groups = grouped(items)
    return _stored(columns, filter(is_usable, groups), len(lines), text)


def stored_elements(columns: FeedColumns, text: str) -> list[Stored] | None:
    """The same of the elements of an array, without its brackets; None if they are to be read one by one."""
    items = orjson.loads(f"[{text}]")
    groups = grouped([item if type(item) is dict else None for item in items])
    return _stored(columns, groups, len(items), text) if _are_whole(groups, text) else None


def _stored(columns: FeedColumns, groups: Any, rows: int, text: str) -> list[Stored]:
    is_plain = text.isascii() and "\\" not in text and _DELETE not in text
    return columns.stored(groups, rows, is_plain, lambda: _MAYBE_INEXACT.search(text) is None)


def _loaded(line: str) -> Any:
    try:
        return orjson.loads(line)
    except ValueError:
        return None


def _are_whole(groups: Sequence[Group], text: str) -> bool:
    """Whether no object has a name twice, of which orjson keeps the last one.

    Each text and each name has two quotes. Of a value that is left out, one pair is missing at least.
    """
    try:
        return "\\\\" not in text and _quotes(text) == 2 * sum(group.texts for group in groups)
    except RecursionError:
        return False


def _is_whole(item: dict[str, Any], line: str) -> bool:
    try:
        return "\\\\" not in line and _quotes(line) == 2 * texts_in([item])
    except RecursionError:
        return False


def _quotes(text: str) -> int:
    """How many quotes are around texts and names, if no backslash is escaped."""
    return text.count('"') - text.count('\\"')


def _float(text: str) -> float | str:
    """The number; one that underflows to 0 stays a text, which validation refuses with its value."""
    number = float(text)
    return number if number or not text.lower().partition("e")[0].strip("-0.") else text
