"""Finds the TCP connections that this process accepted, and says what the kernel knows of each. Linux only."""

import contextlib
import os
import socket
import struct
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

_TCP_INFO = struct.Struct("=8B24I4Q3I")  # linux/tcp.h: struct tcp_info; kernels add to its end only
_LAST_SENT, _LAST_RECEIVED, _UNSENT_BYTES = 8 + 9, 8 + 11, 8 + 24 + 4 + 2


class Connection(NamedTuple):
    """An accepted connection: its descriptor, and the address of its client."""

    descriptor: int
    host: str
    port: int


class State(NamedTuple):
    """Milliseconds since data was sent and received last, and whether some waits to be taken by the client."""

    sent_ms: int
    received_ms: int
    has_unsent: bool


def connections_of(port: int, hosts: Container[str]) -> list[Connection]:
    """The connections to this port of ours that come from these hosts."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        connection = _connection(int(entry.name), port)
        if connection is not None and connection.host in hosts:
            found.append(connection)
    return found


def state_of(connection: Connection) -> State | None:
    """What the kernel knows of the connection; None if it is gone."""
    with contextlib.suppress(OSError), _borrowed(connection.descriptor) as found:
        if found.getpeername()[1] != connection.port:
            return None
        info = _TCP_INFO.unpack(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
        return State(info[_LAST_SENT], info[_LAST_RECEIVED], info[_UNSENT_BYTES] > 0)
    return None


def end_input(connection: Connection) -> None:
    """Let the server read the end of the connection, as if the client had sent all that it will."""
    # A descriptor of our own stays the one that was looked at, whatever the server closes and opens meanwhile.
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.descriptor)) as found:
        if found.getpeername()[1] == connection.port:
            found.shutdown(socket.SHUT_RD)


def _connection(descriptor: int, port: int) -> Connection | None:
    with contextlib.suppress(OSError, IndexError, TypeError), _borrowed(descriptor) as found:
        if found.getsockname()[1] == port:
            host, client_port = found.getpeername()[:2]
            return Connection(descriptor, host.partition("%")[0], client_port)
    return None


@contextlib.contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """The descriptor as a socket, which stays open."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=descriptor)
    try:
        yield found
    finally:
        found.detach()
