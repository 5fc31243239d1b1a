"""Rows of a product file, and the errors of unreadable ones."""

from typing import Any, NamedTuple

from afterwrite.loading.text_blocks import TextFileError


class CatalogueFileError(TextFileError):
    """A text that is not a product file; the message names the file, the place and what to do."""


class UnreadableRow(NamedTuple):
    """A row that is not a product; the other rows can be read."""

    reason: str


# The line it starts on, and its fields for the check of a new product.
Row = tuple[int, dict[str, Any] | UnreadableRow]

_KINDS = {list: "an array", str: "a text", bool: "true or false", type(None): "null"}


def not_an_object(item: Any) -> UnreadableRow:
    """The refusal of a JSON value that is not an object."""
    return UnreadableRow(f"{_KINDS.get(type(item), 'a number')}: give an object with at least title and price")
