"""Strict JSON decoding: refuses ambiguous JSON, such as duplicate names, and strings that cannot be stored."""

import json
import re
from collections.abc import Iterator
from typing import Any

from afterwrite.graphql_http.json_rules import DEPTH_MAX, finite, is_deep, refuse_constant, repeated_name

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
