"""Shutdown of the services behind this process's HTTP server."""

from collections.abc import Callable

_served: list[tuple[Callable[[], None], Callable[[], None]]] = []


def add_served(announce_stop: Callable[[], None], stop: Callable[[], None]) -> None:
    """Register a service: ``announce_stop`` ends its event streams, ``stop`` returns when nothing of it runs."""
    _served.append((announce_stop, stop))


def announce_stop() -> None:
    """End the event streams of this process; call it as soon as the HTTP server begins to stop."""
    for announce, _ in _served:
        announce()


def stop() -> None:
    """Stop all registered services; call it after the last request."""
    while _served:
        _, stop_one = _served.pop()
        stop_one()
