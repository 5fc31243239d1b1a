"""Generates and stores the webhook signing secret unless WEBHOOK_SECRET is set."""

import secrets
from collections.abc import Callable

from afterwrite.base.settings import Settings

_BYTES = 32


def webhook_secret(settings: Settings, keep: Callable[[str, str, str], str]) -> str:
    """WEBHOOK_SECRET, or else the stored secret named ``webhook-secret``.

    ``keep(name, made, otherwise)`` returns the stored secret of a name, storing ``made`` at the first call;
    ``otherwise`` is the alternative to name in an error. Raises StoreError.
    """
    if settings.webhook_secret:
        return settings.webhook_secret
    return keep("webhook-secret", f"whsec_{secrets.token_hex(_BYTES)}", ", or set WEBHOOK_SECRET")
