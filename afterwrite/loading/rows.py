"""Says what a row of a product file is."""

from typing import Any, NamedTuple

from afterwrite.loading.text_blocks import TextFileError


class CatalogueFileError(TextFileError):
    """A text that is no product file; the text names the file, the place and what to do."""


class UnreadableRow(NamedTuple):
    """A row that is no product at all; the rows around it can be read."""

    reason: str


# The line it starts on, and its fields as ``product.check_fields`` takes them.
Row = tuple[int, dict[str, Any] | UnreadableRow]

_KINDS = {list: "an array", str: "a text", bool: "true or false", type(None): "null"}


def no_object(item: Any) -> UnreadableRow:
    """What a JSON value that is no object is refused with."""
    return UnreadableRow(
        f"{_KINDS.get(type(item), 'a number')}: give an object with at least title and price"
    )
