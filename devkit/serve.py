"""Loads the catalogue, then becomes the server: ``python -m devkit.serve`` is what a container runs."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from afterwrite.base.utf8 import use_utf8
from devkit.errors import CommandError
from devkit.place import ROOT, Place, place_from_environment


def load(place: Place, python: Path, arguments: Sequence[str] = ()) -> None:
    """Create the schema and load the sample catalogue or the file in `arguments`; else raise CommandError.

    The arguments are those of init_db.py; its paths begin where the caller stands.
    """
    code = subprocess.call([python, ROOT / "init_db.py", *arguments], env=place.environment())
    if code != 0:
        raise CommandError(f"init_db.py ended with exit code {code}: see its lines above")


def check(place: Place, python: Path) -> None:
    """Raise CommandError if a server must not start here: before anything is loaded, and what runs is stopped."""
    command = [str(python), "-m", "afterwrite.access.start"]
    checked = subprocess.run(
        command, cwd=ROOT, env=place.environment(), check=False, stderr=subprocess.PIPE, encoding="utf-8"
    )
    if checked.returncode != 0:
        raise CommandError(checked.stderr.strip())


def become_server(place: Place, python: Path) -> int:
    """Run the server in the foreground; see ``become``."""
    return become(place, python, ["app.py"])


def become(place: Place, python: Path, program: Sequence[str]) -> int:
    """Run a program of the project in the foreground, in this very process where the system can do that.

    So signals and Ctrl-C reach it once, with nobody in between. It returns only on Windows.
    """
    sys.stdout.flush()
    command = [str(python), *program]
    if os.name == "posix":
        os.chdir(ROOT)
        os.execve(python, command, place.environment())  # noqa: S606
    with subprocess.Popen(command, cwd=ROOT, env=place.environment()) as server:
        # Ctrl-C reaches every program of the console: the server drains, and this one waits for it.
        signal.signal(signal.SIGINT, lambda *_: None)
        return server.wait()


def main() -> int:
    """Load and serve with the running Python."""
    try:
        place = place_from_environment()
        check(place, Path(sys.executable))
        load(place, Path(sys.executable))
    except CommandError as error:
        sys.exit(str(error))
    return become_server(place, Path(sys.executable))


if __name__ == "__main__":
    use_utf8()
    sys.exit(main())
