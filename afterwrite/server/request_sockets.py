"""Finds the socket of a request by the address of its client, and duplicates it."""

import contextlib
import os
import socket
import threading
from pathlib import Path

_DESCRIPTORS = next((place for place in (Path("/proc/self/fd"), Path("/dev/fd")) if place.is_dir()), None)

Client = tuple[str, int]
"""The host and port of the other end of a connection."""


class RequestSockets:
    """The sockets of this process's connections; thread-safe.

    Granian closes its socket after the answer 101, without shutting the connection down, so a duplicate has the
    connection for itself from then on.
    """

    is_supported = _DESCRIPTORS is not None

    def __init__(self) -> None:
        self._descriptors: dict[Client, int] = {}
        self._lock = threading.Lock()

    def duplicate(self, client: Client, port: int) -> socket.socket | None:
        """A socket for the connection of this client to our ``port``; None if it is closed.

        Raises OSError if no file descriptor is left.
        """
        with self._lock:
            found = self._duplicate(client, port)
            if found is None:
                self._list()  # finds those of all clients that connected meanwhile
                found = self._duplicate(client, port)
            return found

    def _duplicate(self, client: Client, port: int) -> socket.socket | None:
        descriptor = self._descriptors.pop(client, None)
        if descriptor is None:
            return None
        try:
            found = socket.socket(fileno=os.dup(descriptor))
        except OSError:  # closed meanwhile, or no socket any more
            return None
        with contextlib.suppress(OSError):
            if found.getpeername()[:2] == client and found.getsockname()[1] == port:
                return found
        found.close()
        return None

    def _list(self) -> None:
        self._descriptors.clear()
        assert _DESCRIPTORS is not None
        for entry in _DESCRIPTORS.iterdir():
            with contextlib.suppress(OSError):
                listed = socket.socket(fileno=int(entry.name))
                try:
                    if listed.family in (socket.AF_INET, socket.AF_INET6):
                        host, port = listed.getpeername()[:2]
                        self._descriptors[host, port] = listed.fileno()
                finally:
                    listed.detach()
