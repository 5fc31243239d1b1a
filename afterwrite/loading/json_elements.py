"""Reads the elements of a large JSON array one by one, in bounded memory."""

import json
import re
from collections.abc import Generator, Iterator
from typing import Any

from afterwrite.loading.json_values import JsonValues
from afterwrite.loading.rows import UnreadableRow

LONGEST_VALUE = 16 << 20  # characters of one element; it must fit in memory as a whole
# Under which names an API's answer has its list.
LISTS = ("products", "items", "data", "results", "nodes")
MOST_WRAPPERS = 5  # objects around that list

_STARTS = "[{"
_SPACE = re.compile(r"[ \t\n\r]*")
# A value that is cut off by the end of the buffer fails this close to it, unless a text is unterminated.
_LONGEST_TOKEN = 16
# What may follow a number that goes on in the next block: "1" of "1.5", of "1e5" or of "1e+5".
_LONGEST_NUMBER_REST = 2


class JsonSyntaxError(Exception):
    """The text is not the JSON that was expected: what is wrong, and where (both counted from 1)."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(f"{reason} at line {line}, column {column}")
        self.reason, self.line, self.column = reason, line, column


class NoListError(Exception):
    """The JSON is an object without a list of products where one is looked for."""


def elements(blocks: Iterator[str]) -> Iterator[tuple[int, Any]]:
    """Each element, with the line it starts on, of the array at the top; an UnreadableRow for one with a name twice.

    An object at the top must have one array under a name of LISTS, at once or in objects under such names: that
    array is then the one that is read. ``blocks`` are the text in pieces of any length. Raises NoListError where there
    is none, and JsonSyntaxError at the first place that is wrong; the elements before it have been given by then.
    """
    text = _JsonText(blocks)
    if text.peek() == "{":
        found = yield from _listed_elements(text)
        if not found:
            raise NoListError(f"no list of products was found: it may stand under {', '.join(LISTS)}")
    else:
        yield from _array_elements(text)
    if text.peek():
        raise text.error("Text after the end of the JSON value")


def _array_elements(text: "_JsonText") -> Iterator[tuple[int, Any]]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        text.peek()
        line, value = text.line, text.value()
        yield line, value if text.trouble is None else UnreadableRow(text.trouble)
        if text.take(",]") == "]":
            return


def _listed_elements(text: "_JsonText", depth: int = 1) -> Generator[tuple[int, Any], None, str]:
    """The elements of the one array in an object; returns its name, or an empty text where there is none."""
    found = ""
    text.take("{")
    while text.peek() == '"':
        name = text.value()
        text.take(":")
        start, inner = text.peek(), ""
        if name not in LISTS or start not in _STARTS or depth > MOST_WRAPPERS:
            text.value()
        elif start == "[":
            inner = name
            if found:
                raise text.error(f'The object has two lists, "{found}" and "{name}"')
            yield from _array_elements(text)
        else:
            inner = yield from _listed_elements(text, depth + 1)
        found = found or inner
        if text.take(",}") == "}":
            return found
    text.take("}")
    return found


class _JsonText:
    """A position in a JSON text of which only the part around the position is in memory."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self.line = 1
        self._blocks = blocks
        self._buffer = ""
        self._at = 0
        self._dropped = 0  # characters before the buffer
        self._line_start = 0
        self._ended = False
        self._values = JsonValues()

    @property
    def trouble(self) -> str | None:
        """Why the last value must not be used."""
        return self._values.trouble

    def peek(self) -> str:
        """Skip white space; the character that follows, or an empty text at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._at)
            self._move(match.end() if match else self._at)
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._read_more():
                return ""

    def take(self, expected: str) -> str:
        """Skip white space and step over one of the ``expected`` characters."""
        found = self.peek()
        if not found or found not in expected:
            wanted = " or ".join(repr(char) for char in expected)
            raise self.error(f"Expected {wanted}, found {repr(found) if found else 'the end of the file'}")
        self._move(self._at + 1)
        return found

    def value(self) -> Any:
        """Skip white space, step over one value and return it decoded."""
        self.peek()
        while True:
            try:
                value, end = self._values.decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                if self._ended or not self._may_be_cut_off(error):
                    raise self.error(error.msg, error.pos) from error
            except (
                ValueError,
                RecursionError,
            ) as error:  # a number of thousands of digits, or nested too deeply
                raise self.error(f"A value cannot be read ({error})") from error
            else:
                if self._ended or end + _LONGEST_NUMBER_REST < len(self._buffer):
                    self._move(end)
                    return value
            if len(self._buffer) - self._at > LONGEST_VALUE:
                raise self.error(f"A value is longer than {LONGEST_VALUE:,} characters")
            self._read_more(len(self._buffer) - self._at)

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
        """Add ``least`` characters to the buffer; twice as many each time keep a long value's cost linear."""
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
