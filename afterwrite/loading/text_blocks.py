"""UTF-8 file reader: text in blocks, and the position of invalid bytes."""

import codecs
from collections.abc import Iterator
from pathlib import Path

_BLOCK_BYTES = 256 * 1024
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WORKBOOK_MARKS = (b"PK\x03\x04", bytes.fromhex("D0CF11E0"))  # .xlsx, .xls
_IN_EXCEL = "in Excel choose Save As, CSV UTF-8"


class TextFileError(Exception):
    """A file that cannot be read as text; the message names the file, the place and what to do."""


class TextFile:
    """A UTF-8 file, with or without a byte order mark, read once from start to end.

    ``size_bytes`` is its length when it was opened, ``bytes_read`` the position of the reader.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; raises TextFileError."""
        try:
            self._file = path.open("rb", buffering=0)
            self.size_bytes = path.stat().st_size
        except OSError as error:
            raise TextFileError(f"{path} cannot be opened: {error.strerror}: check the name and the rights") from error
        self.path = path
        self.bytes_read = 0
        self._line = 1

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def blocks(self) -> Iterator[str]:
        """The text in non-empty blocks, without the byte order mark; raises TextFileError."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        block = self._read().removeprefix(codecs.BOM_UTF8)
        if block.startswith(_WORKBOOK_MARKS):
            raise TextFileError(f"{self.path} is an Excel workbook: {_IN_EXCEL}")
        if block.startswith(_UTF16_MARKS) or b"\0" in block[:2]:
            raise TextFileError(f"{self.path} is UTF-16: save it as UTF-8; {_IN_EXCEL}")
        while True:
            waiting = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise self._not_utf8(error, block, waiting) from error
            self._line += text.count("\n")
            if text:
                yield text
            if not block:
                return
            block = self._read()

    def _read(self) -> bytes:
        try:
            block = self._file.read(_BLOCK_BYTES) or b""
        except OSError as error:
            raise TextFileError(
                f"{self.path} cannot be read at byte {self.bytes_read:,}: {error.strerror}: check the disk"
            ) from error
        self.bytes_read += len(block)
        return block

    def _not_utf8(self, error: UnicodeDecodeError, block: bytes, waiting: int) -> TextFileError:
        """``waiting`` is the number of undecoded bytes of the previous block."""
        position = self.bytes_read - len(block) - waiting + error.start
        line = self._line + error.object[: error.start].count(b"\n")
        return TextFileError(
            f"{self.path} is not UTF-8: byte 0x{error.object[error.start]:02X} at position {position:,} "
            f"(line {line}): save the file as UTF-8; {_IN_EXCEL}"
        )
