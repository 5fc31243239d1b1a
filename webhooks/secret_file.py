"""Keeps the secret that signs webhooks, for installations that were given none."""

import secrets
from pathlib import Path

from database.secret_file import kept_secret

_BYTES = 32


def secret_of(folder: Path) -> str:
    """The secret in ``folder/webhook-secret``; made at the first call, readable for the owner only.

    Raises StoreError.
    """
    made = f"whsec_{secrets.token_hex(_BYTES)}"
    return kept_secret(folder / "webhook-secret", made, "webhook secret", ", or set WEBHOOK_SECRET")
