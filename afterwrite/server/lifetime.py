"""Shutdown of the services behind this process's HTTP server."""

from typing import Protocol

_served: "list[Served]" = []


class Served(Protocol):
    """A service behind the HTTP server of this process."""

    def announce_stop(self) -> None:
        """End event streams."""

    def stop(self) -> None:
        """Drain and stop; returns when nothing runs any more."""


def add_served(served: Served) -> None:
    """Register a service to stop with the HTTP server."""
    _served.append(served)


def announce_stop() -> None:
    """End the event streams of this process; call it as soon as the HTTP server begins to stop."""
    for served in _served:
        served.announce_stop()


def stop() -> None:
    """Stop all registered services; call it after the last request."""
    while _served:
        _served.pop().stop()
