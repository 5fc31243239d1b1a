"""Finds the TCP connections that this process accepted, and says what the kernel knows of each. Linux only."""

import contextlib
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Container, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

# linux/tcp.h, struct tcp_info: kernels add to its end only, the last of these in 4.19.
_TCP_INFO = struct.Struct("=8B24I4Q6I4Q2I2Q")
_LAST_SENT = 8 + 9
_UNSENT_BYTES = 8 + 24 + 4 + 2
_SENT_BYTES, _SENT_AGAIN_BYTES = _UNSENT_BYTES + 10, _UNSENT_BYTES + 11

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Connection(NamedTuple):
    """An accepted connection: its descriptor, and the port of its client."""

    descriptor: int
    port: int


class State(NamedTuple):
    """Milliseconds since data was sent last, whether the client has yet to take some, and the bytes of all of it."""

    sent_ms: int
    has_unsent: bool
    sent_bytes: int


@lru_cache(maxsize=1)
def can_count() -> bool:
    """Whether the kernel counts what a connection sends."""
    if sys.platform != "linux":
        return False
    with socket.socket() as probe:
        return len(probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)) == _TCP_INFO.size


def connections_of(places: Container[tuple[int, str]]) -> list[Connection]:
    """The accepted connections of these places: a port of ours, and the address of a client."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        descriptor = int(entry.name)
        with contextlib.suppress(OSError), _borrowed(descriptor) as connection:
            if connection.family not in _FAMILIES:
                continue
            host, port = connection.getpeername()[:2]
            if (connection.getsockname()[1], plain_address(host)) in places:
                found.append(Connection(descriptor, port))
    return found


def state_of(connection: Connection) -> State | None:
    """What the kernel knows of the connection; None if it is gone."""
    with contextlib.suppress(OSError), _borrowed(connection.descriptor) as found:
        if found.family not in _FAMILIES or found.getpeername()[1] != connection.port:
            return None
        info = _TCP_INFO.unpack(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
        unsent = info[_UNSENT_BYTES]
        return State(info[_LAST_SENT], unsent > 0, info[_SENT_BYTES] - info[_SENT_AGAIN_BYTES] + unsent)
    return None


def end_input(connection: Connection) -> None:
    """Let the server read the end of the connection, as if the client had sent all that it will."""
    # A descriptor of our own stays the one that was looked at, whatever the server closes and opens meanwhile.
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.descriptor)) as found:
        if found.family in _FAMILIES and found.getpeername()[1] == connection.port:
            found.shutdown(socket.SHUT_RD)


@lru_cache(maxsize=4_096)
def plain_address(host: str) -> str:
    """An address in one spelling: without a zone, and IPv4 as such where IPv6 maps it."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


@contextlib.contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """The descriptor as a socket, which stays open."""
    found = socket.socket(fileno=descriptor)
    try:
        yield found
    finally:
        found.detach()
