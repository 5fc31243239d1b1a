"""Strictness rules for all JSON input: no NaN, no number beyond a float, no duplicate name, bounded depth."""

from __future__ import annotations

from collections.abc import Iterable
from math import isinf
from typing import Any

DEPTH_MAX = 100


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
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True
