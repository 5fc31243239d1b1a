"""Finds and removes the data folder, the virtual environment and the caches, for ``clean``."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from devkit.errors import CommandError
from devkit.place import ROOT

CACHES = (".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis")
OUR_FILES = ("products.db", "journal.db", "afterwrite.log", "server.pid")
NOT_OURS = {".git", ".venv", "node_modules"}


def made_here(data_dir: Path, root: Path = ROOT) -> list[Path]:
    """Return the existing folders that `clean` removes.

    Raises CommandError if DATA_DIR does not look like a data folder of Afterwrite.
    """
    found = []
    if data_dir.exists():
        _require_ours(data_dir, root)
        found.append(data_dir)
    if (root / ".venv" / "pyvenv.cfg").exists():
        found.append(root / ".venv")
    return [*found, *(root / name for name in CACHES if (root / name).is_dir()), *_bytecode(root)]


def remove(folders: list[Path]) -> None:
    """Remove the folders and their contents."""
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise CommandError(f"cannot remove {folder}: {error}. Is it in use?") from error


def _require_ours(data_dir: Path, root: Path) -> None:
    holds_others = data_dir in (root, Path.home()) or data_dir in root.parents or data_dir in Path.home().parents
    entries = {entry.name for entry in data_dir.iterdir()}
    if holds_others or (entries and entries.isdisjoint(OUR_FILES)):
        raise CommandError(
            f"{data_dir} does not look like a data folder of Afterwrite (it has none of "
            f"{', '.join(OUR_FILES)}, or contains other folders): it is kept. Check DATA_DIR, or remove it yourself"
        )


def _bytecode(root: Path) -> Iterator[Path]:
    for folder, names, _ in os.walk(root):
        if "__pycache__" in names:
            yield Path(folder, "__pycache__")
        names[:] = [name for name in names if name not in NOT_OURS and name != "__pycache__"]
