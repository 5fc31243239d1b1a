"""Names and heartbeats of the processes on one database."""

import os
import secrets
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple


class ProcessAlive(NamedTuple):
    """A process with a recent heartbeat; times in microseconds since 1970.

    ``role`` is for example ``server``; ``silent_us`` is the age of the last heartbeat, ``doing`` its content.
    """

    name: str
    role: str
    host: str
    pid: int
    version: str
    started_at_us: int
    beat_at_us: int
    silent_us: int
    doing: Mapping[str, Any]


def new_name() -> str:
    """A unique name for this process with its host and pid."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
