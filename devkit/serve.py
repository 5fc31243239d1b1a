"""Loads the catalogue, then executes the server: ``python -m devkit.serve``, the command of the container."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from afterwrite.base.settings import from_environment
from afterwrite.resources import first_version
from afterwrite.storage.sqlite.closed_file import holds_records
from devkit.errors import CommandError, run
from devkit.place import ROOT, Place, place_from_environment

SERVER = ("app.py",)


def load(place: Place, python: Path, arguments: Sequence[str] = ()) -> None:
    """Run init_db.py, which creates the schema and loads the sample catalogue or the file in `arguments`.

    Paths are relative to the working directory. Raises CommandError.
    """
    products = place.data_dir / "products.db"
    if not arguments and not from_environment().database_url and holds_records(products, first_version.TABLE):
        return  # as init_db.py would find, after half a second of imports
    code = subprocess.call([python, ROOT / "init_db.py", *arguments], env=place.environment())
    if code != 0:
        raise CommandError(f"init_db.py failed with exit code {code}: see its output above")


def check(place: Place, python: Path) -> None:
    """Raise CommandError if a server must not start here; call it before loading data or stopping a server."""
    command = [str(python), "-m", "afterwrite.access.start"]
    checked = subprocess.run(
        command, cwd=ROOT, env=place.environment(), check=False, stderr=subprocess.PIPE, encoding="utf-8"
    )
    if checked.returncode != 0:
        raise CommandError(checked.stderr.strip())


def become(place: Place, python: Path, program: Sequence[str]) -> int:
    """Run a program of the project in the foreground; on POSIX it replaces this process.

    So signals and Ctrl-C reach it directly, once. Returns only on Windows.
    """
    sys.stdout.flush()
    command = [str(python), *program]
    if os.name == "posix":
        os.chdir(ROOT)
        os.execve(python, command, place.environment())  # noqa: S606
    with subprocess.Popen(command, cwd=ROOT, env=place.environment()) as server:
        # Ctrl-C reaches every process of the console: the server drains while this one waits.
        signal.signal(signal.SIGINT, lambda *_: None)
        return server.wait()


def main(_: list[str]) -> int:
    """Load and serve with the running Python."""
    place, python = place_from_environment(), Path(sys.executable)
    check(place, python)
    load(place, python)
    return become(place, python, SERVER)


if __name__ == "__main__":
    run(main)
