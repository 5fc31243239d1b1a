"""Reads the whole body of an HTTP request from its WSGI environment, or raises.

werkzeug would truncate a body without a Content-Length at the limit, and accept an incomplete body as a whole one where
the server sets `wsgi.input_terminated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO

_READ_AT_ONCE = 1 << 20


class BodyBroken(Exception):
    """An incomplete body; the text says how."""


class BodyTooLong(Exception):
    """A body over the limit; the text says how many bytes it has."""


def read_body(environ: Mapping[str, Any], max_bytes: int) -> bytes:
    """Returns the bytes of the body, b"" where there is none.

    Raises:
        BodyTooLong: it has more than `max_bytes`; nothing is read if its Content-Length says so.
        BodyBroken: it is incomplete.
    """
    stream: BinaryIO = environ["wsgi.input"]
    length = announced_bytes(environ)
    if length is not None:
        return _read_announced(stream, length, max_bytes)
    if header := environ.get("CONTENT_LENGTH"):
        raise BodyBroken(f"The Content-Length '{header[:100]}' is not a number")
    if environ.get("wsgi.input_terminated") or environ.get("HTTP_TRANSFER_ENCODING"):
        return _read_to_end(stream, max_bytes)
    return b""


def read_on(environ: Mapping[str, Any], max_bytes: int) -> None:
    """Read and discard a body whose Content-Length is at most `max_bytes`.

    A client that is still sending would not see the response.
    """
    length = announced_bytes(environ)
    if length is not None and length <= max_bytes:
        with suppress(OSError):  # the client disconnected
            while environ["wsgi.input"].read(_READ_AT_ONCE):
                pass


def announced_bytes(environ: Mapping[str, Any]) -> int | None:
    """The Content-Length; None if it is missing or not a number of fewer than 20 digits."""
    header = environ.get("CONTENT_LENGTH") or ""
    return int(header) if header.isascii() and header.isdigit() and len(header) < 20 else None


def _read_announced(stream: BinaryIO, length: int, max_bytes: int) -> bytes:
    if length > max_bytes:
        raise BodyTooLong(f"{length} bytes")
    body = _read_up_to(stream, length)
    if len(body) < length:
        raise BodyBroken(f"The body ended after {len(body)} of {length} bytes")
    return body


def _read_to_end(stream: BinaryIO, max_bytes: int) -> bytes:
    body = _read_up_to(stream, max_bytes + 1)
    if len(body) > max_bytes:
        with suppress(BodyBroken):  # a client that is still sending would not see the response
            _read_up_to(stream, max_bytes)
        raise BodyTooLong(f"more than {max_bytes} bytes")
    return body


def _read_up_to(stream: BinaryIO, length: int) -> bytes:
    try:
        body = stream.read(length)
        if len(body) == length or not body:
            return body
        parts = bytearray(body)
        while len(parts) < length and (more := stream.read(length - len(parts))):
            parts += more
    except OSError as error:  # a client that disconnected, or broken chunks
        raise BodyBroken(f"The body could not be read: {error}") from error
    return bytes(parts)
