"""The TCP connections that this process accepted, and the kernel's state of each. Linux only."""

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Container, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from afterwrite.access.slowing import ip_of

# linux/tcp.h, struct tcp_info: kernels only append to it; the last of these fields came in 4.19.
_TCP_INFO = struct.Struct("=8B24I4Q6I4Q2I2Q")
_LAST_SENT, _TAKEN_BYTES = 8 + 9, 8 + 24 + 2
_UNSENT_BYTES = 8 + 24 + 4 + 2
_SENT_BYTES, _SENT_AGAIN_BYTES = _UNSENT_BYTES + 10, _UNSENT_BYTES + 11

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Connection(NamedTuple):
    """An accepted connection: its descriptor, and the address and port of its client."""

    descriptor: int
    host: str
    port: int


class State(NamedTuple):
    """The kernel's state of a connection.

    Milliseconds since data was last sent, whether bytes are unsent, the bytes written, and the bytes acknowledged.
    """

    sent_ms: int
    has_unsent: bool
    written_bytes: int
    taken_bytes: int


@lru_cache(maxsize=1)
def can_count() -> bool:
    """Whether the kernel counts the bytes that a connection sends."""
    if sys.platform != "linux":
        return False
    with socket.socket() as probe:
        return len(probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)) == _TCP_INFO.size


def connections_of(ports: Container[int]) -> list[Connection]:
    """The connections accepted on these ports. Raises OSError if no file descriptor is left to list them."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        descriptor = int(entry.name)
        with contextlib.suppress(OSError), _borrowed(descriptor) as connection:
            if connection.family not in _FAMILIES:
                continue
            if connection.getsockname()[1] in ports:
                host, port = connection.getpeername()[:2]
                found.append(Connection(descriptor, plain_address(host), port))
    return found


def state_of(connection: Connection) -> State | None:
    """The kernel's state of the connection; None if it is closed."""
    with contextlib.suppress(OSError), _borrowed(connection.descriptor) as found:
        if found.family not in _FAMILIES or found.getpeername()[1] != connection.port:
            return None
        info = _TCP_INFO.unpack(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
        unsent = info[_UNSENT_BYTES]
        written = info[_SENT_BYTES] - info[_SENT_AGAIN_BYTES] + unsent
        return State(info[_LAST_SENT], unsent > 0, written, info[_TAKEN_BYTES])
    return None


def shut_down(connection: Connection, how: int) -> None:
    """Shut down the directions in ``how``: after SHUT_RD the server reads end-of-file, as at the end of a request."""
    # A duplicate, because the server may close the descriptor meanwhile and reuse its number.
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.descriptor)) as found:
        if found.family in _FAMILIES and found.getpeername()[1] == connection.port:
            found.shutdown(how)


@lru_cache(maxsize=4_096)
def plain_address(host: str) -> str:
    """A normalised address: without a zone, an IPv4-mapped one as IPv4."""
    found = ip_of(host)
    return host if found is None else str(found)


@contextlib.contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """The descriptor as a socket; leaves it open."""
    found = socket.socket(fileno=descriptor)
    try:
        yield found
    finally:
        found.detach()
