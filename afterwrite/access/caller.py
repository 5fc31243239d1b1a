"""The caller of the current request and how it authenticated."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from flask import Request, request

from afterwrite.access.keys import Key
from afterwrite.access.roles import Caller, Role
from afterwrite.access.session import Held


class Way(Enum):
    """How a caller authenticated."""

    NONE = "none"
    BEARER = "bearer"
    SESSION = "session"


class Sender(NamedTuple):
    """The caller of a request and how it authenticated: with ``key``, in the session ``held``."""

    caller: Caller
    way: Way = Way.NONE
    key: Key | None = None
    held: Held | None = None


def current_caller() -> Caller:
    """The caller of the current request. Raises RuntimeError outside of a request."""
    return sender_of(request).caller


def sender_of(asked: Request) -> Sender:
    """The sender of this request."""
    return sender_in(asked.environ)


def sender_in(environ: Mapping[str, Any]) -> Sender:
    """The sender of the request with this WSGI environment."""
    found: Sender = environ.get(_KEY, _UNKNOWN)
    return found


def set_sender(asked: Request, sender: Sender) -> None:
    """Record the sender of this request; only access control calls this."""
    asked.environ[_KEY] = sender


_KEY = "afterwrite.sender"
_UNKNOWN = Sender(Caller(None, Role.NOBODY))
