"""Stops what this process serves when its HTTP server ends."""

from typing import Protocol

_served: "list[Served]" = []


class Served(Protocol):
    """What runs behind the HTTP server of this process."""

    def announce_stop(self) -> None:
        """Let event streams end."""

    def stop(self) -> None:
        """Finish; returns when nothing runs any more."""


def add_served(served: Served) -> None:
    """Stop this too when the HTTP server ends."""
    _served.append(served)


def announce_stop() -> None:
    """Let the event streams of this process end: to be called as soon as the HTTP server is told to stop."""
    for served in _served:
        served.announce_stop()


def stop() -> None:
    """Stop everything that this process serves: to be called after the last request."""
    while _served:
        _served.pop().stop()
