"""Strict JSON: no NaN, no duplicate name, no number beyond a float, bounded depth, and strings that can be stored."""

import json
import re
from collections.abc import Iterable, Iterator
from math import isinf
from typing import Any

DEPTH_MAX = 100
# Only an escape can bring these into a string; the cheap test spares most texts the walk.
_MAY_BE_UNUSABLE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")


class JsonRefused(ValueError):
    """A refused JSON text. ``is_text`` marks valid JSON with a string that cannot be stored."""

    def __init__(self, message: str, *, is_text: bool = False) -> None:
        super().__init__(message)
        self.is_text = is_text


def decode(text: str) -> Any:
    """The value of a JSON text.

    Raises JsonRefused for invalid JSON, including duplicate names and NaN, for nesting over DEPTH_MAX, and for strings
    with a NUL or half of a surrogate pair, which cannot be stored.
    """
    try:
        value = _decoder.decode(text)
    except RecursionError:
        raise JsonRefused(_TOO_DEEP) from None
    except ValueError as error:  # also JSONDecodeError and a number that is too long
        raise JsonRefused(f"not valid JSON: {error}" if text else "empty") from error
    if is_deep(text, value):
        raise JsonRefused(_TOO_DEEP)
    if _MAY_BE_UNUSABLE.search(text) and any(map(_UNUSABLE.search, _texts(value))):
        raise JsonRefused("a text in it holds a NUL (\\u0000) or half of a surrogate pair: remove it", is_text=True)
    return value


_TOO_DEEP = f"nested more than {DEPTH_MAX} lists or objects deep: make it flatter"


def refuse_constant(name: str) -> Any:
    """For ``parse_constant``: raises ValueError, because NaN and the infinities are not JSON."""
    raise ValueError(f"{name} is not a JSON number")


def finite(text: str) -> float:
    """For ``parse_float``. Raises ValueError for a number that overflows or underflows a float."""
    number = float(text)
    if isinf(number):
        raise ValueError(f"the number {text[:60]} is too large")
    if not number and vanishes(text):
        raise ValueError(f"the number {text[:60]} is too small: a float would hold 0 in its place")
    return number


def vanishes(text: str) -> bool:
    """Whether a number other than 0 underflows to 0 as a float, such as ``1e-400``."""
    return not float(text) and any(digit in "123456789" for digit in text.lower().partition("e")[0])


def repeated_name(pairs: Iterable[tuple[str, Any]]) -> str:
    """The first duplicate name in the pairs of an object that has one; in linear time."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    raise ValueError("no name is repeated")


def is_deep(text: str, value: Any) -> bool:
    """Whether a value nests more than DEPTH_MAX lists and objects; ``text`` is its JSON source."""
    if text.count("[") + text.count("{") <= DEPTH_MAX:
        return False
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(DEPTH_MAX):
        level = [child for node in level for child in _children(node) if isinstance(child, (dict, list))]
        if not level:
            return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError(f"an object has the name {repeated_name(pairs)[:60]!r} twice")
    return made


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=refuse_constant, parse_float=finite)


def _texts(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict | list):
            stack.extend(_children(node))
            if isinstance(node, dict):
                stack.extend(node)


def _children(node: dict[str, Any] | list[Any]) -> Iterator[Any]:
    return iter(node.values() if isinstance(node, dict) else node)
