"""Says what is known of a process that works on the data."""

import os
import secrets
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple


class ProcessAlive(NamedTuple):
    """A process that has given a sign of life in the last seconds; times in microseconds since 1970.

    ``role`` is what it is for, such as ``server``; ``silent_us`` how long ago its last sign of life was; ``doing`` what
    it said then.
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
    """A name for this process that no other one has, and that says where it runs."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
