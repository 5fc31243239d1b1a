"""Keeps a secret in a file of the data folder, made when it is first wanted and readable for the owner only."""

import os
from pathlib import Path

from database.errors import StoreError


def kept_secret(path: Path, make: str, what: str, otherwise: str = "") -> str:
    """The secret in the file ``path``; ``make`` is written there if there is no such file yet.

    ``what`` it is, and what else can be done (``otherwise``), goes into the messages. Raises StoreError.
    """
    try:
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(f"{make}\n")
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(
            f"The {what} {path} cannot be used: {error}. Check the file's rights{otherwise}"
        ) from error
    if not secret:
        raise StoreError(f"The {what} {path} is empty: delete the file to have a new one made{otherwise}")
    return secret
