"""Runs commands of dev.py at a throw-away place."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from devkit import background_server, place
from devkit.place import Place

ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def throw_away_place(folder: Path) -> Iterator[Place]:
    """A place of its own; a server that is left running on it is stopped."""
    found = place.temporary_place(folder)
    yield found
    if server := background_server.running(found):
        os.kill(server.pid, signal.SIGTERM)


def dev(here: Place, *arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "dev.py", *arguments],
        env=here.environment(),
        cwd=here.data_dir.parent,
        input=options.get("typed", ""),
        capture_output=True,
        text=True,
        timeout=120,
    )
