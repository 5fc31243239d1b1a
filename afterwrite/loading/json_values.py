"""JSON decoding that detects duplicate names and floats that underflow to zero."""

import json
from typing import Any

from afterwrite.graphql_http.strict_json import repeated_name, vanishes


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
            self.trouble = f"an object has the name {repeated_name(pairs)[:60]!r} twice: keep one of them"
        return found


def _float(text: str) -> float | str:
    """The number; one that underflows to 0 stays a text, which validation refuses with its value."""
    number = float(text)
    return number if number or not vanishes(text) else text
