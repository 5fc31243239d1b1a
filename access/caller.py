"""Knows who sent the request that is being answered."""

from enum import Enum

from flask import g

from access.roles import Caller, Role


class Way(Enum):
    """How a caller showed who it is."""

    NONE = "none"
    BEARER = "bearer"
    SESSION = "session"


def current_caller() -> Caller:
    """Who sent the request that is being answered. Raises RuntimeError outside of a request."""
    found: Caller = g.get("caller", _UNKNOWN)
    return found


def current_way() -> Way:
    """How the caller of this request showed who it is."""
    found: Way = g.get("caller_way", Way.NONE)
    return found


def set_caller(caller: Caller, way: Way) -> None:
    """Say who sends this request; only what checks requests calls it."""
    g.caller = caller
    g.caller_way = way


_UNKNOWN = Caller(None, Role.NOBODY)
