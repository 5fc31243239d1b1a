"""Knows who sent the request that is being answered."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from flask import Request, request

from afterwrite.access.keys import Key
from afterwrite.access.roles import Caller, Role
from afterwrite.access.session import Held


class Way(Enum):
    """How a caller showed who it is."""

    NONE = "none"
    BEARER = "bearer"
    SESSION = "session"


class Sender(NamedTuple):
    """Who sent a request, and how that was shown: with ``key``, in the session ``held``."""

    caller: Caller
    way: Way = Way.NONE
    key: Key | None = None
    held: Held | None = None


def current_caller() -> Caller:
    """Who sent the request that is being answered. Raises RuntimeError outside of a request."""
    return sender_of(request).caller


def sender_of(asked: Request) -> Sender:
    """Who sent this request, and how that was shown."""
    return sender_in(asked.environ)


def sender_in(environ: Mapping[str, Any]) -> Sender:
    """Who sent the request with this WSGI environment."""
    found: Sender = environ.get(_KEY, _UNKNOWN)
    return found


def set_sender(asked: Request, sender: Sender) -> None:
    """Say who sends this request; only what checks requests calls it."""
    asked.environ[_KEY] = sender


_KEY = "afterwrite.sender"
_UNKNOWN = Sender(Caller(None, Role.NOBODY))
