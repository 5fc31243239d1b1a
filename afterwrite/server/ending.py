"""Ends another thread's read of a request body."""

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Any

from afterwrite.server.bodies import Body

GRANIAN = "afterwrite.granian"
"""The environ key of a request under Granian, whose ``wsgi.input`` has ``end``."""


def can_end(environ: Mapping[str, Any]) -> bool:
    """Whether another thread can end the read of this request's body."""
    return "gunicorn.socket" in environ or GRANIAN in environ


def end(body: Body) -> None:
    """End the read of a body: its thread gets what has arrived, as if the body ended there."""
    if GRANIAN in body.environ:
        body.stream.end()
        return
    try:
        connection = socket.socket(fileno=os.dup(body.environ["gunicorn.socket"].fileno()))
    except OSError:  # already closed
        return
    with connection, contextlib.suppress(OSError):  # the client disconnected
        connection.shutdown(socket.SHUT_RD)
