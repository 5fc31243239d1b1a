"""Streaming reader for large JSON arrays, in bounded memory."""

import json
import re
from collections.abc import Collection, Generator, Iterator
from typing import Any, NamedTuple

from afterwrite.loading.json_values import JsonValues, stored_elements
from afterwrite.loading.rows import UnreadableRow
from afterwrite.resources.feed_columns import FeedColumns, Stored

LONGEST_VALUE = 16 << 20  # characters; each element is held in memory
MOST_WRAPPERS = 5  # nested objects around the list

_LEAST_RUN = 128 * 1024
_ENDS_SEEN, _ENDS_TRIED = 1_000, 4
_AFTER_ELEMENT = re.compile(r"\s*(?:,\s*\{|\])")
_STARTS = "[{"
_SPACE = re.compile(r"[ \t\n\r]*")
# A value truncated by the end of the buffer fails within this distance of it, except an unterminated string.
_LONGEST_TOKEN = 16
# A number may continue in the next block: "1" of "1.5", "1e5" or "1e+5".
_LONGEST_NUMBER_REST = 2


class JsonSyntaxError(Exception):
    """Invalid JSON: the reason, line and column (from 1)."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(f"{reason} at line {line}, column {column}")
        self.reason, self.line, self.column = reason, line, column


class NoListError(Exception):
    """The JSON is an object without a list under one of the names where it may stand."""


class Run(NamedTuple):
    """Consecutive elements of an array: the line of the first one, their text, and the ordinary ones as stored."""

    line: int
    text: str
    stored: list[Stored]


def elements(blocks: Iterator[str], lists: Collection[str]) -> Iterator[tuple[int, Any]]:
    """Yield each element of the top-level array with its line; an UnreadableRow for one with a duplicate name.

    A top-level object must contain one array under a name in ``lists``, directly or nested under such names; that array
    is read. ``blocks`` is the text in pieces of any length. Raises NoListError if there is no such array, and
    JsonSyntaxError at the first error, after yielding the elements before it.
    """
    return (one for one in runs(blocks, lists, None) if not isinstance(one, Run))


def runs(blocks: Iterator[str], lists: Collection[str], columns: FeedColumns | None) -> Iterator[tuple[int, Any] | Run]:
    """The same, but with ``columns`` as many elements at once as can be read so are a Run."""
    text = _JsonText(blocks, columns)
    if text.peek() == "{":
        found = yield from _listed_elements(text, lists)
        if not found:
            raise NoListError
    else:
        yield from _array_elements(text)
    if text.peek():
        raise text.error("Text after the end of the JSON value")


def _array_elements(text: "_JsonText") -> Iterator[tuple[int, Any] | Run]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        text.peek()
        run = text.run()
        if run is not None:
            yield run
        else:
            line, value = text.line, text.value()
            yield line, value if text.values.trouble is None else UnreadableRow(text.values.trouble)
        if text.take(",]") == "]":
            return


def _listed_elements(
    text: "_JsonText", lists: Collection[str], depth: int = 1
) -> Generator[tuple[int, Any] | Run, None, str]:
    """Yield the elements of the one array in an object; return its name, empty if there is none."""
    found = ""
    text.take("{")
    while text.peek() == '"':
        name = text.value()
        text.take(":")
        start, inner = text.peek(), ""
        if name not in lists or start not in _STARTS or depth > MOST_WRAPPERS:
            text.value()
        elif start == "[":
            inner = name
            if found:
                raise text.error(f'The object has two lists, "{found}" and "{name}"')
            yield from _array_elements(text)
        else:
            inner = yield from _listed_elements(text, lists, depth + 1)
        found = found or inner
        if text.take(",}") == "}":
            return found
    text.take("}")
    return found


class _JsonText:
    """A position in a JSON text, with a buffer around it."""

    def __init__(self, blocks: Iterator[str], columns: FeedColumns | None = None) -> None:
        self.line = 1
        self._columns = columns
        self._one_by_one_through = 0
        self._blocks = blocks
        self._buffer = ""
        self._at = 0
        self._dropped = 0  # characters before the buffer
        self._line_start = 0
        self._ended = False
        self.values = JsonValues()

    def peek(self) -> str:
        """Skip white space; return the next character, empty at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._at)
            self._move(match.end() if match else self._at)
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._read_more():
                return ""

    def take(self, expected: str) -> str:
        """Skip white space and consume one of the ``expected`` characters."""
        found = self.peek()
        if not found or found not in expected:
            wanted = " or ".join(repr(char) for char in expected)
            raise self.error(f"Expected {wanted}, found {repr(found) if found else 'the end of the file'}")
        self._move(self._at + 1)
        return found

    def value(self) -> Any:
        """Skip white space, consume a value and return it decoded."""
        self.peek()
        while True:
            try:
                value, end = self.values.decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                if self._ended or not self._may_be_cut_off(error):
                    raise self.error(error.msg, error.pos) from error
            except (ValueError, RecursionError) as error:  # a number too long, or nested too deeply
                raise self.error(f"A value cannot be read ({error})") from error
            else:
                if self._ended or end + _LONGEST_NUMBER_REST < len(self._buffer):
                    self._move(end)
                    return value
            if len(self._buffer) - self._at > LONGEST_VALUE:
                raise self.error(f"A value is longer than {LONGEST_VALUE:,} characters")
            self._read_more(len(self._buffer) - self._at)

    def run(self) -> Run | None:
        """Consume the elements that end in the buffer, if they can be read at once."""
        if self._columns is None or self._dropped + self._at < self._one_by_one_through:
            return None
        if len(self._buffer) - self._at < _LEAST_RUN:
            self._read_more()
        for end in self._likely_ends():
            text = self._buffer[self._at : end]
            try:
                stored = stored_elements(self._columns, text)
            except ValueError:  # it ends within an element
                continue
            if stored is not None:
                line = self.line
                self._move(end)
                return Run(line, text, stored)
        self._one_by_one_through = self._dropped + len(self._buffer)
        return None

    def _likely_ends(self) -> Iterator[int]:
        """Where the last elements in the buffer probably end; what is JSON up to there is elements."""
        end, tried = len(self._buffer), 0
        for _ in range(_ENDS_SEEN):
            end = self._buffer.rfind("}", self._at, end)
            if end < 0 or tried == _ENDS_TRIED:
                return
            if _AFTER_ELEMENT.match(self._buffer, end + 1):
                tried += 1
                yield end + 1

    def error(self, reason: str, position: int | None = None) -> JsonSyntaxError:
        """The error at a position in the buffer, or at the current one."""
        if position is not None:
            self._move(position)
        return JsonSyntaxError(reason, self.line, self._dropped + self._at - self._line_start + 1)

    def _may_be_cut_off(self, error: json.JSONDecodeError) -> bool:
        return error.msg.startswith("Unterminated string") or error.pos >= len(self._buffer) - _LONGEST_TOKEN

    def _move(self, position: int) -> None:
        lines = self._buffer.count("\n", self._at, position)
        if lines:
            self.line += lines
            self._line_start = self._dropped + self._buffer.rindex("\n", self._at, position) + 1
        self._at = position

    def _read_more(self, least: int = 1) -> bool:
        """Add ``least`` characters to the buffer; doubling keeps the cost of a long value linear."""
        added: list[str] = []
        while sum(map(len, added)) < least and not self._ended:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
            else:
                added.append(block)
        self._dropped += self._at
        self._buffer = "".join((self._buffer[self._at :], *added))
        self._at = 0
        return bool(added)
