"""Decodes JSON texts strictly: what two readers could take for two things, or nobody could store, is refused."""

import json
import re
from collections.abc import Iterator
from typing import Any

from afterwrite.graphql_http.json_rules import DEPTH_MAX, finite, is_deep, refuse_constant, repeated_name

# An escape is the only way for these to get into a text: look before looking closely.
_MAY_BE_UNUSABLE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")


class JsonRefused(ValueError):
    """A text that is not taken; the text says why. ``is_text`` tells a JSON value with an unusable text in it."""

    def __init__(self, message: str, *, is_text: bool = False) -> None:
        super().__init__(message)
        self.is_text = is_text


def decode(text: str) -> Any:
    """The value of a JSON text.

    Raises JsonRefused for what is not JSON, as names given twice and NaN are not; for what nests more than DEPTH_MAX
    deep; and for texts with a NUL or half of a surrogate pair, which cannot be stored.
    """
    try:
        value = _decoder.decode(text)
    except RecursionError:
        raise JsonRefused(_TOO_DEEP) from None
    except ValueError as error:  # JSONDecodeError is one, so is a number that is too long
        raise JsonRefused(f"not valid JSON: {error}" if text else "empty") from error
    if is_deep(text, value):
        raise JsonRefused(_TOO_DEEP)
    if _MAY_BE_UNUSABLE.search(text) and any(map(_UNUSABLE.search, _texts(value))):
        raise JsonRefused(
            "a text in it holds a NUL (\\u0000) or half of a surrogate pair: remove it", is_text=True
        )
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
