"""Keeps the secret that signs webhooks, for installations that were given none."""

import os
import secrets
from pathlib import Path

from database.schema import StoreError

_BYTES = 32


def secret_of(folder: Path) -> str:
    """The secret in ``folder/webhook-secret``; made at the first call, readable for the owner only.

    Raises StoreError.
    """
    path = folder / "webhook-secret"
    try:
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(f"whsec_{secrets.token_hex(_BYTES)}\n")
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(
            f"The webhook secret {path} cannot be used: {error}. Check the file's rights, or set WEBHOOK_SECRET"
        ) from error
    if not secret:
        raise StoreError(
            f"The webhook secret {path} is empty: delete the file to have a new one made, or set WEBHOOK_SECRET"
        )
    return secret
