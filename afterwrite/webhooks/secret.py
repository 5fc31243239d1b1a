"""Keeps the secret that signs webhooks, for installations that were given none."""

import secrets
from collections.abc import Callable

from afterwrite.base.settings import Settings

_BYTES = 32


def webhook_secret(settings: Settings, keep: Callable[[str, str, str], str]) -> str:
    """WEBHOOK_SECRET, or else the secret that is kept under the name ``webhook-secret``.

    ``keep(name, made, otherwise)`` gives the secret of a name, and makes ``made`` that at the first call; ``otherwise``
    is what else can be done where it cannot be read. Raises StoreError.
    """
    if settings.webhook_secret:
        return settings.webhook_secret
    return keep("webhook-secret", f"whsec_{secrets.token_hex(_BYTES)}", ", or set WEBHOOK_SECRET")
