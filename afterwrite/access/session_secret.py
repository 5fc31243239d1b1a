"""Names and makes the secret that signs the cookies of sessions. Standard library only: the main process checks it."""

import secrets
from collections.abc import Callable

_BYTES = 32


def session_secret(keep: Callable[[str, str], str]) -> str:
    """The secret that signs the cookies, as ``keep(name, made)`` keeps it. Raises StoreError."""
    return keep("session-secret", secrets.token_hex(_BYTES))
