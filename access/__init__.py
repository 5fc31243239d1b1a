"""Who may use what: keys, roles, sessions, the table of what needs which role, and who tries too often.

The names that pages and routes use can be had from here. They are looked for when they are asked for: they need Flask,
and dev.py uses ``access.keys`` before anything is installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from access.caller import current_caller
    from access.control import AccessControl, may, sign_in
    from access.headers import allow_more
    from access.roles import Caller, Role
    from access.session import csrf_token, sign_out
    from access.slowing import TooManyTries

_HOMES = {
    "AccessControl": "control",
    "Caller": "roles",
    "Role": "roles",
    "TooManyTries": "slowing",
    "allow_more": "headers",
    "csrf_token": "session",
    "current_caller": "caller",
    "may": "control",
    "sign_in": "control",
    "sign_out": "session",
}

__all__ = [
    "AccessControl",
    "Caller",
    "Role",
    "TooManyTries",
    "allow_more",
    "csrf_token",
    "current_caller",
    "may",
    "sign_in",
    "sign_out",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
