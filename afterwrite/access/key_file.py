"""Reads the file of keys and replaces it atomically. Standard library only, because dev.py imports it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from afterwrite.access.keys import Key, keys_of_file
from afterwrite.base.durable_file import lock_of, make_folder, replace_file
from afterwrite.base.own_command import own_command
from afterwrite.base.settings import Settings, SettingsError


def key_file_path(settings: Settings) -> Path:
    """The path of the file of keys: API_KEYS_FILE, or ``api-keys`` in DATA_DIR."""
    return Path(settings.api_keys_file) if settings.api_keys_file else settings.data_dir / "api-keys"


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in the file. Raises SettingsError, also if the file is missing."""
    return keys_of_file(_text(path), path)


def add_key(path: Path, key: Key) -> None:
    """Add the key; on disk when this returns. Raises SettingsError, also for a name that exists."""
    with _changing(path):
        text = _text(path) if path.exists() else ""
        if any(known.name == key.name for known in keys_of_file(text, path)):
            raise SettingsError(
                f"There is already a key named {key.name!r} in {path}: choose another name, or remove that key first"
            )
        _replace(path, [*text.splitlines(), key.line])


def remove_key(path: Path, name: str) -> None:
    """Remove the key; on disk when this returns. Raises SettingsError, also for an unknown name."""
    _text(path)  # a missing file or folder raises before the lock creates one
    with _changing(path):
        text = _text(path)
        names = ", ".join(key.name for key in keys_of_file(text, path)) or "none"
        lines = text.splitlines()
        kept = [line for line in lines if line.strip().partition(":")[0] != name]
        if kept == lines:
            raise SettingsError(f"There is no key named {name!r} in {path}; its keys: {names}")
        _replace(path, kept)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(
            f"The keys in {path} cannot be read: {reason}. Make one with `{own_command('key add')}`, "
            "or correct API_KEYS_FILE"
        ) from error


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Lock the file's read-modify-write: of two concurrent commands, one would lose the other's key."""
    try:
        make_folder(path.parent)
        with lock_of(path):
            yield
    except OSError as error:
        raise SettingsError(
            f"The keys in {path} cannot be changed: {error.strerror}. Check the permissions of its folder, "
            "or set API_KEYS_FILE to another file"
        ) from error


def _replace(path: Path, lines: Sequence[str]) -> None:
    replace_file(path, "".join(f"{line}\n" for line in lines))
