"""Secrets in files of the data folder, created on first use and readable by the owner only."""

import re
from pathlib import Path

from afterwrite.base.durable_file import create_file
from afterwrite.base.store_errors import StoreError

_FORM = re.compile(r"(whsec_)?[0-9a-f]{64}")


def kept_secret(path: Path, make: str, what: str, otherwise: str = "") -> str:
    """The secret in the file ``path``; ``make`` is stored if the file does not exist.

    ``what`` (its name) and ``otherwise`` (an alternative remedy) go into messages. Raises StoreError, also for content
    of another form: after a power cut a file may hold NULs, a guessable secret.
    """
    try:
        if not path.exists():
            create_file(path, f"{make}\n")
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"The {what} {path} cannot be used: {error}. Check the file's rights{otherwise}") from error
    if not _FORM.fullmatch(secret):
        raise StoreError(
            f"The {what} {path} holds {len(secret)} characters that are not a secret made by this program: put back a "
            f"backup of the file, or delete it to have a new one made{otherwise}"
        )
    return secret
