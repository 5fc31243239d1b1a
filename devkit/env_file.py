"""Reads ``.env`` for dev.py, with the virtual environment's Python if its own has no python-dotenv."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from afterwrite.base.settings import from_environment
from afterwrite.base.settings_file import settings_file
from devkit.environment import TO_RUN, ready_python, say
from devkit.errors import CommandError, run
from devkit.place import ROOT

# These use servers and databases of their own, which must not get the settings of another one.
WITHOUT = frozenset({"test", "check", "bench", "screenshots", "setup"})


def use(verb: str) -> None:
    """Add the settings file, if any, to the environment of this verb. Raises CommandError or SettingsError."""
    if verb in WITHOUT:
        os.environ["ENV_FILE"] = "off"
    path = settings_file()
    if path is None:
        return
    if importlib.util.find_spec("dotenv") is None:
        _read_with_other_python(path)
    else:
        from_environment()


def _read_with_other_python(path: Path) -> None:
    python = ready_python(ROOT, TO_RUN, say)
    read = subprocess.run(
        [python, "-m", "devkit.env_file"],
        cwd=ROOT,
        env=os.environ | {"ENV_FILE": str(path.absolute())},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    if read.returncode != 0:
        raise CommandError(read.stderr.strip())
    os.environ.update(json.loads(read.stdout))


def main(_: list[str]) -> int:
    """Print the variables that the settings file adds to the environment, as JSON."""
    before = dict(os.environ)
    from_environment()
    json.dump({name: value for name, value in os.environ.items() if before.get(name) != value}, sys.stdout)
    return 0


if __name__ == "__main__":
    run(main)
