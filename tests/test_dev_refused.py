"""A server that must not start: the daily commands say so first, and touch no data."""

import subprocess
import sys
from pathlib import Path

import pytest
from server_process import ROOT

from devkit import background_server, place
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
def test_what_may_not_start_loads_nothing_and_says_why_in_one_line(
    tmp_path: Path, start: str, name: str
) -> None:
    here = place.temporary_place(tmp_path / "data")
    value, reason = REFUSED[name]
    answer = _run(here, *STARTS[start], **{name: value})
    assert answer.returncode == 1
    assert answer.stdout == ""
    [line] = answer.stderr.splitlines()
    assert reason in line
    assert not here.data_dir.exists()


def test_a_restart_that_would_be_refused_leaves_the_server_running(tmp_path: Path) -> None:
    here = place.temporary_place(tmp_path / "data")
    assert _run(here, "dev.py", "start").returncode == 0
    server = background_server.running(here)
    assert server is not None
    try:
        refused = _run(here, "dev.py", "restart", HOST="0.0.0.0")
        assert refused.returncode == 1
        assert "HOST=0.0.0.0 can be reached" in refused.stderr
        assert background_server.running(here) == server
    finally:
        background_server.stop(here, server)
    assert here.data_dir.joinpath("journal.db").exists()
