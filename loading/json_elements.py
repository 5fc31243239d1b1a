"""Reads the elements of a large JSON array one by one, in bounded memory."""

import json
import re
from collections.abc import Iterator
from typing import Any

LONGEST_VALUE = 16 << 20  # characters of one element; it must fit in memory as a whole

_decode = json.JSONDecoder().raw_decode
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


def elements(blocks: Iterator[str], member: str) -> Iterator[tuple[int, Any]]:
    """Each element, with the line it starts on, of the array at the top.

    An object at the top must have an array ``member``, which is then the one that is read.
    ``blocks`` are the text in pieces of any length. Raises JsonSyntaxError at the first place that is wrong;
    the elements before it have been given by then.
    """
    text = _JsonText(blocks)
    if text.peek() == "{":
        yield from _member_elements(text, member)
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
        yield text.line, text.value()
        if text.take(",]") == "]":
            return


def _member_elements(text: "_JsonText", member: str) -> Iterator[tuple[int, Any]]:
    text.take("{")
    found = False
    while text.peek() == '"':
        name = text.value()
        text.take(":")
        if name == member and text.peek() == "[":
            found = True
            yield from _array_elements(text)
        else:
            text.value()
        if text.take(",}") == "}":
            break
    else:
        text.take("}")
    if not found:
        raise text.error(f'The object has no array "{member}"')


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
                value, end = _decode(self._buffer, self._at)
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
