"""Reads the body of an HTTP request from its WSGI environment: all of it, or an exception says why not.

Read here and not by werkzeug: that cuts a body without a Content-Length off at the limit, and takes a body that breaks
off for a whole one where the server says that it knows the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

_READ_AT_ONCE = 1 << 20


class BodyBroken(Exception):
    """A body that did not come whole; the text says how."""


class BodyTooLong(Exception):
    """A body with more bytes than are read; the text says how many it has."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_body(environ: Mapping[str, Any], max_bytes: int) -> bytes:
    """Returns the bytes of the body, b"" where there is none.

    Raises:
        BodyTooLong: it has more than `max_bytes`; nothing of a body that is announced so long is read.
        BodyBroken: it is not all there.
    """
    stream: _Readable = environ["wsgi.input"]
    length = announced_bytes(environ)
    if length is not None:
        return _read_announced(stream, length, max_bytes)
    if header := environ.get("CONTENT_LENGTH"):
        raise BodyBroken(f"The Content-Length '{header[:100]}' is not a number")
    if environ.get("wsgi.input_terminated") or environ.get("HTTP_TRANSFER_ENCODING"):
        return _read_to_end(stream, max_bytes)
    return b""


def read_on(environ: Mapping[str, Any], most: int) -> None:
    """Read a body that nobody wants to its end, if it is announced with `most` bytes at the most.

    A client that still sends would not see the answer.
    """
    length = announced_bytes(environ)
    if length is not None and length <= most:
        with suppress(OSError):  # it went away
            while environ["wsgi.input"].read(_READ_AT_ONCE):
                pass


def announced_bytes(environ: Mapping[str, Any]) -> int | None:
    """The Content-Length; None where there is none, or it is not a number of fewer than 20 digits."""
    header = environ.get("CONTENT_LENGTH") or ""
    return int(header) if header.isascii() and header.isdigit() and len(header) < 20 else None


def _read_announced(stream: _Readable, length: int, max_bytes: int) -> bytes:
    if length > max_bytes:
        raise BodyTooLong(f"{length} bytes")
    body = _read_up_to(stream, length)
    if len(body) < length:
        raise BodyBroken(f"The body ended after {len(body)} of {length} bytes")
    return body


def _read_to_end(stream: _Readable, max_bytes: int) -> bytes:
    body = _read_up_to(stream, max_bytes + 1)
    if len(body) > max_bytes:
        with suppress(BodyBroken):  # a client that still sends a little would not see the answer
            _read_up_to(stream, max_bytes)
        raise BodyTooLong(f"more than {max_bytes} bytes")
    return body


def _read_up_to(stream: _Readable, length: int) -> bytes:
    try:
        body = stream.read(length)
        if len(body) == length or not body:
            return body
        parts = bytearray(body)
        while len(parts) < length and (more := stream.read(length - len(parts))):
            parts += more
    except OSError as error:  # a client that went away, or whose chunks are broken
        raise BodyBroken(f"The body could not be read: {error}") from error
    return bytes(parts)
