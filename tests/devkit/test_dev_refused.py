"""A server that must not start: the daily commands say so first, and touch no data."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from access_site import KEYS
from server_process import ROOT

from devkit import background_server, place
from devkit.background_server import Running
from devkit.place import Place

pytestmark = pytest.mark.one_database("what is refused comes before any database")

STARTS = {
    "dev.py up": ["dev.py", "up"],
    "dev.py start": ["dev.py", "start"],
    "the container": ["-m", "devkit.serve"],
    "app.py": ["app.py"],
}
REFUSED = {
    "HOST": ("0.0.0.0", "HOST=0.0.0.0 can be reached from other machines, and there are no keys"),
    "RATE_LIMIT": ("often", "RATE_LIMIT='often' is not understood"),
    "API_KEYS": ("ann", "API_KEYS, key 1"),
}


def _run(here: Place, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        env=here.environment() | environment,
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("start", STARTS)
def test_what_may_not_start_loads_nothing_and_says_why_in_one_line(tmp_path: Path, start: str, name: str) -> None:
    here = place.temporary_place(tmp_path / "data")
    value, reason = REFUSED[name]
    answer = _run(here, *STARTS[start], **{name: value})
    assert answer.returncode == 1
    assert answer.stdout == ""
    [line] = answer.stderr.splitlines()
    assert reason in line
    assert not here.data_dir.exists()


@contextmanager
def _started(here: Place, **environment: str) -> Iterator[Running]:
    """The server that ``dev.py start`` starts; the block must leave it running."""
    assert _run(here, "dev.py", "start", **environment).returncode == 0
    server = background_server.running(here)
    assert server is not None
    try:
        yield server
        assert background_server.running(here) == server
    finally:
        background_server.stop(here, server)


def test_a_restart_that_would_be_refused_leaves_the_server_running(tmp_path: Path) -> None:
    here = place.temporary_place(tmp_path / "data")
    with _started(here):
        refused = _run(here, "dev.py", "restart", HOST="0.0.0.0")
        assert refused.returncode == 1
        assert "HOST=0.0.0.0 can be reached" in refused.stderr
    assert here.data_dir.joinpath("journal.db").exists()


@pytest.mark.parametrize("command", ["restart", "init-db"])
def test_a_server_that_could_not_start_again_where_it_was_is_not_stopped(tmp_path: Path, command: str) -> None:
    """It was reachable and had keys; this time the keys are missing."""
    here = place.temporary_place(tmp_path / "data")
    feed = tmp_path / "feed.jsonl"
    feed.write_text('{"title": "Lamp", "price": 1}\n', encoding="utf-8")
    with _started(here, HOST="0.0.0.0", API_KEYS=KEYS):
        arguments = [str(feed)] if command == "init-db" else []
        refused = _run(here, "dev.py", command, *arguments, PORT="")
        assert refused.returncode == 1
        assert "HOST=0.0.0.0 can be reached" in refused.stderr
