"""Tests that a measured server is ended with all of its processes: under load, and when it never answers."""

import os
import select
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench import process_tree, servers
from bench.load import CLIENTS, Load, apply_load

LOADED_CPU_SECONDS = 0.2  # more than a server uses without requests
# Prints the number of a process that would live on.
SILENT = [
    sys.executable,
    "-c",
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    " print(child.pid, flush=True); child.wait()",
]


def test_a_kill_under_load_ends_every_process_and_the_load_reports_what_was_acknowledged(tmp_path: Path) -> None:
    with servers.hello(tmp_path) as server, ThreadPoolExecutor() as pool:
        pids = process_tree.pids(server.process.pid)
        assert len(pids) > 1  # Granian's main process and its worker
        idle = server.cpu_seconds()
        loading = pool.submit(apply_load, Load(server.port, "hello", seconds=60))
        while server.cpu_seconds() < idle + LOADED_CPU_SECONDS:
            assert not loading.done()
        server.kill()
        result = loading.result(timeout=30)
    assert result.acknowledged
    assert result.bad == CLIENTS  # each client's outstanding request
    assert all(ends(pid) for pid in pids)


def test_a_server_that_never_answers_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "START_SECONDS", 5)
    with pytest.raises(RuntimeError, match="did not answer on / in 5 s"), servers.running(SILENT, tmp_path, {}, "/"):
        pytest.fail("it is not ready")
    assert ends(int((tmp_path / "server.out").read_text()))


def ends(pid: int) -> bool:
    """Whether the process ends within ten seconds: the kernel delivers a signal when it gets to it."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], 10)[0])
    finally:
        os.close(watch)
