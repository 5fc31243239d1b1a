"""Rows of a file of records, and the errors of unreadable ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

from afterwrite.loading.text_blocks import TextFileError
from afterwrite.resources.feed_columns import Stored
from afterwrite.resources.feed_names import FeedNames


class RecordFileError(TextFileError):
    """A text that is not a file of records; the message names the file, the place and what to do."""


class UnreadableRow(NamedTuple):
    """A row that is not a record; the other rows can be read."""

    reason: str


# The line it starts on, and its fields for the check of a new record.
Row = tuple[int, dict[str, Any] | UnreadableRow]


class Part(NamedTuple):
    """Some consecutive rows of a file, the ordinary ones read and checked by column.

    ``row`` reads one of the others by itself; None if it is blank.
    """

    stored: list[Stored]
    row: Callable[[int], Row | None]


_KINDS = {list: "an array", str: "a text", bool: "true or false", type(None): "null"}


def not_an_object(item: Any, names: FeedNames) -> UnreadableRow:
    """The refusal of a JSON value that is not an object."""
    return UnreadableRow(f"{_KINDS.get(type(item), 'a number')}: give {names.least}")
