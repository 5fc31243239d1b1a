"""Knows who sent the request that is being answered."""

from enum import Enum
from typing import NamedTuple

from flask import g

from access.roles import Caller, Role


class Way(Enum):
    """How a caller showed who it is."""

    NONE = "none"
    BEARER = "bearer"
    SESSION = "session"


class Sender(NamedTuple):
    """Who sent a request, and how that was shown."""

    caller: Caller
    way: Way = Way.NONE


def current_caller() -> Caller:
    """Who sent the request that is being answered. Raises RuntimeError outside of a request."""
    return current_sender().caller


def current_sender() -> Sender:
    """The same, with the way in which it was shown."""
    found: Sender = g.get("sender", _UNKNOWN)
    return found


def set_sender(sender: Sender) -> None:
    """Say who sends this request; only what checks requests calls it."""
    g.sender = sender


_UNKNOWN = Sender(Caller(None, Role.NOBODY))
