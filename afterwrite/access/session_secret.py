"""The secret that signs session cookies. Standard library only, because the main process checks it."""

import secrets
from collections.abc import Callable

_BYTES = 32


def session_secret(keep: Callable[[str, str], str]) -> str:
    """The secret as ``keep(name, new)`` stores it: a new one, or the one stored before. Raises StoreError."""
    return keep("session-secret", secrets.token_hex(_BYTES))
