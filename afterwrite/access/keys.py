"""API keys as lines of text, ``name:role:hash``. Standard library only, because dev.py imports it.

The hash is plain SHA-256: a secret is 256 random bits, which no brute force can try. Slow hashes (scrypt, argon2)
protect passwords that people choose, and would slow down every request.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from afterwrite.access.roles import GIVEN_ROLES, Role
from afterwrite.base.own_command import own_command
from afterwrite.base.settings import SettingsError

_SECRET_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH = re.compile(r"sha256-[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Key:
    """An API key: the hash of the secret, never the secret."""

    name: str
    role: Role
    hash: str

    @property
    def line(self) -> str:
        """The key's line in a file."""
        return f"{self.name}:{self.role.word}:{self.hash}"

    @property
    def fingerprint(self) -> str:
        """Tells this key from another of the same name without revealing the secret."""
        return hashlib.sha256(self.hash.encode()).hexdigest()[:32]


def new_secret() -> str:
    """A new secret: ``aw_`` and 256 random bits."""
    return f"aw_{secrets.token_urlsafe(_SECRET_BYTES)}"


def hash_of(secret: str) -> str:
    """The hash that is stored for a secret."""
    return f"sha256-{hashlib.sha256(secret.encode('utf-8', 'replace')).hexdigest()}"


def find_key(keys: Sequence[Key], secret_hash: str) -> Key | None:
    """The key with this hash. Compares every key in constant time, so the timing reveals nothing."""
    found = None
    for key in keys:
        if hmac.compare_digest(key.hash, secret_hash):
            found = key
    return found


def check_name(name: str) -> str:
    """The name, if it is valid. Raises SettingsError."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name[:80]!r} cannot name a key: use 1 to 64 of the letters A to Z and a to z, digits, `.`, `_`, `-`"
        )
    return name


def keys_of_setting(text: str) -> tuple[Key, ...]:
    """The keys in API_KEYS, separated by commas. Raises SettingsError."""
    parts = [part.strip() for part in text.split(",")]
    try:
        return _unique((f"API_KEYS, key {number}", part) for number, part in enumerate(parts, 1) if part)
    except SettingsError as error:
        raise SettingsError(str(error), setting="API_KEYS") from error


def keys_of_file(text: str, path: object) -> tuple[Key, ...]:
    """The keys in a file, one per line; empty lines and lines that begin with ``#`` are ignored.

    Raises SettingsError with the number of the line.
    """
    lines = [line.strip() for line in text.splitlines()]
    return _unique(
        (f"{path}, line {number}", line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")
    )


def check_unique(keys: Iterable[Key]) -> None:
    """Raise SettingsError when two keys have the same name."""
    seen = set()
    for key in keys:
        if key.name in seen:
            raise SettingsError(
                f"There are two keys named {key.name!r} in API_KEYS and the file of keys: rename or remove one"
            )
        seen.add(key.name)


def _unique(lines: Iterable[tuple[str, str]]) -> tuple[Key, ...]:
    keys: dict[str, Key] = {}
    for place, line in lines:
        key = _parsed(place, line)
        if key.name in keys:
            raise SettingsError(f"{place}: there is another key named {key.name!r}: rename or remove one")
        keys[key.name] = key
    return tuple(keys.values())


def _parsed(place: str, line: str) -> Key:
    name, _, rest = line.partition(":")
    role, _, hashed = rest.partition(":")
    form = f"name:role:hash, as `{own_command('key add')}` makes it"
    if not rest or not hashed:
        # The text is not in the message: it may be a secret that was pasted by mistake.
        raise SettingsError(f"{place}: {len(line)} characters are not a key: write {form}")
    try:
        check_name(name)
    except SettingsError as error:
        raise SettingsError(f"{place}: {error}") from error
    if role not in GIVEN_ROLES:
        raise SettingsError(
            f"{place}: the key {name!r} has the role {role[:20]!r}: use one of {', '.join(GIVEN_ROLES)}"
        )
    if not _HASH.fullmatch(hashed):
        raise SettingsError(
            f"{place}: the key {name!r} has no hash of the form sha256-<64 hexadecimal digits>: write {form}"
        )
    return Key(name, GIVEN_ROLES[role], hashed)
