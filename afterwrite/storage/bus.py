"""Says what processes on one database tell each other over."""

from collections.abc import Awaitable, Callable
from typing import Protocol

Handler = Callable[[str], None]
Look = Callable[[], Awaitable[None]]


class Bus(Protocol):
    """What the processes on one database tell each other: hints, which may be lost.

    Handlers and looks are called on the loop; a look is called when something may have been missed, and every second.
    """

    def on(self, channel: str, handler: Handler) -> None:
        """Call ``handler`` with the payload of every notification of a channel; before the bus runs."""

    def look(self, look: Look) -> None:
        """Call ``look`` whenever something may have been missed; before the bus runs."""

    def send(self, channel: str, payload: str) -> None:
        """Tell every process; in any thread but the loop's. Raises StoreError."""
