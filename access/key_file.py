"""Keeps keys in a file: reads it, and changes it in one step. Standard library only, as dev.py needs it."""

import os
from collections.abc import Sequence
from pathlib import Path

from access.keys import Key, keys_of_file
from settings import Settings, SettingsError


def key_file_path(settings: Settings) -> Path:
    """The file of keys: API_KEYS_FILE, or ``api-keys`` in DATA_DIR."""
    return Path(settings.api_keys_file) if settings.api_keys_file else settings.data_dir / "api-keys"


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in the file. Raises SettingsError, also where there is no file."""
    return keys_of_file(_text(path), path)


def add_key(path: Path, key: Key) -> None:
    """Add a line for the key. Raises SettingsError, also for a name that is there already."""
    text = _text(path) if path.exists() else ""
    if any(known.name == key.name for known in keys_of_file(text, path)):
        raise SettingsError(
            f"There is a key named {key.name!r} in {path} already: choose another name, or remove that one first"
        )
    _replace(path, [*text.splitlines(), key.line])


def remove_key(path: Path, name: str) -> None:
    """Remove the key's line. Raises SettingsError, also for a name that is not there."""
    text = _text(path)
    names = ", ".join(key.name for key in keys_of_file(text, path)) or "none"
    lines = text.splitlines()
    kept = [line for line in lines if line.strip().partition(":")[0] != name]
    if kept == lines:
        raise SettingsError(f"There is no key named {name!r} in {path}; there are: {names}")
    _replace(path, kept)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(
            f"The keys in {path} cannot be read: {reason}. Make one with `dev.py key add`, or correct API_KEYS_FILE"
        ) from error


def _replace(path: Path, lines: Sequence[str]) -> None:
    """Put a new file in the place of the old one, so that a server reads the one or the other."""
    unfinished = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made by one command at a time: of two at once, one would lose the other's key.
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise SettingsError(
            f"Another command changes {path} at this moment. If none does, one was killed: remove {unfinished}"
        ) from error
    except OSError as error:
        raise _not_writable(path, error) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise _not_writable(path, error) from error


def _not_writable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"The keys in {path} cannot be changed: {error.strerror}. Check the rights of its folder, "
        "or set API_KEYS_FILE to another file"
    )
