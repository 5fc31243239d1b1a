"""Fills the disk under the journal and under the product database: nothing that was acknowledged is lost."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from npm_packages import missing
from other_process import write_lock
from product_calls import codes, create, create_many, health, stored_titles, wait_applied, wait_degraded, waiting_titles
from server_process import ROOT, ServerProcess, process_group, wait_until

MakeServer = Callable[..., ServerProcess]
QUOTA_BYTES = 1 << 20
DISK_BYTES = 6 << 20
BULK = "x" * 2_000
_CHANGE_MANY = "mutation ($changes: [ProductChange!]!) { updateProducts(products: $changes) { success } }"

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="sets the limits of a process of Linux"),
    pytest.mark.one_database("it fills the disk of a file"),
]


def test_past_the_quota_of_the_journal_writes_are_refused_and_with_more_room_accepted_again(
    make_server: MakeServer,
) -> None:
    server = make_server(LOG_FILE="off").start(*_with_quota())
    with write_lock(server.data_dir / "products.db"):
        accepted = _create_until_refused(server)
        waiting = health(server)["queue"]["depth"]
        assert waiting == len(accepted)
        _set_quota(server, resource.RLIM_INFINITY)
        wait_until(lambda: health(server)["journal"]["status"] == "ok")  # it finds out without another write
        assert create(server, "with more room")["success"]
    wait_applied(server)
    assert stored_titles(server) == [*accepted, "with more room"]


def test_what_was_acknowledged_before_the_quota_was_reached_survives_a_kill(make_server: MakeServer) -> None:
    server = make_server(LOG_FILE="off").start(*_with_quota())
    with write_lock(server.data_dir / "products.db"):
        accepted = _create_until_refused(server)
        server.kill()
    assert waiting_titles(server) == accepted
    server.start()
    wait_applied(server)
    assert stored_titles(server) == accepted


def test_past_the_quota_of_the_product_database_writes_wait_and_are_applied_with_more_room(
    make_server: MakeServer,
) -> None:
    server = make_server(LOG_FILE="off").start()
    first = [f"first {number}" for number in range(250)]
    assert create_many(server, first, description=BULK)["success"]
    # A change is short in the journal, and writes a long record: the product database grows faster than the journal.
    changes = [{"productId": str(number + 1), "price": 2} for number in range(len(first))]
    assert server.query(_CHANGE_MANY, {"changes": changes})["updateProducts"]["success"]
    wait_applied(server)
    _set_quota(server, (server.data_dir / "products.db-wal").stat().st_size)
    assert create(server, "waits 1")["success"]
    wait_degraded(server)
    assert create(server, "waits 2")["success"]
    assert health(server)["queue"]["depth"] == 2
    _set_quota(server, resource.RLIM_INFINITY)
    wait_applied(server)
    assert stored_titles(server) == [*first, "waits 1", "waits 2"]


def test_on_a_full_disk_writes_are_refused_and_with_space_accepted_again(
    make_server: MakeServer, small_disk: Path
) -> None:
    server = make_server(small_disk / "data", LOG_FILE="off").start()
    filler = small_disk / "filler"
    with write_lock(server.data_dir / "products.db"):
        accepted = [f"before {number}" for number in range(5)]
        assert create_many(server, accepted)["success"]
        _fill(filler)
        accepted += _create_until_refused(server)
        filler.unlink()
        assert create(server, "with space")["success"]
    wait_applied(server)
    assert stored_titles(server) == [*accepted, "with space"]


def test_health_notices_by_itself_that_a_full_disk_has_space_again(make_server: MakeServer, small_disk: Path) -> None:
    server = make_server(small_disk / "data", LOG_FILE="off").start()
    filler = small_disk / "filler"
    _fill(filler)
    _create_until_refused(server)
    assert health(server)["journal"]["status"] == "degraded"
    filler.unlink()
    wait_until(lambda: health(server)["status"] == "ok")
    assert create(server, "with space")["success"]


def test_on_a_full_disk_a_killed_server_loses_nothing(make_server: MakeServer, small_disk: Path) -> None:
    server = make_server(small_disk / "data", LOG_FILE="off").start()
    filler = small_disk / "filler"
    _fill(filler)
    accepted = _create_until_refused(server)
    server.kill()
    filler.unlink()
    server.start()
    wait_applied(server)
    assert stored_titles(server) == accepted


def test_a_start_on_a_full_disk_says_so_in_one_line(make_server: MakeServer, small_disk: Path) -> None:
    server = make_server(small_disk / "data", LOG_FILE="off")
    filler = small_disk / "filler"
    _fill(filler)
    process = server.launch(keep_errors=True)
    _out, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.startswith("afterwrite: ")
    assert said.count("\n") == 1
    assert "free space" in said
    filler.unlink()
    server.start()


def _create_until_refused(server: ServerProcess) -> list[str]:
    """Create products until the journal cannot be written; returns the titles of those that were accepted."""
    accepted: list[str] = []
    answers: list[dict[str, Any]] = []
    while not answers or answers[-1]["success"]:
        title = f"product {len(answers)}"
        answers.append(create(server, title, description=BULK))
        if answers[-1]["success"]:
            accepted.append(title)
        assert len(answers) < 5_000
    assert codes(answers[-1]) == ["JOURNAL_UNWRITABLE"]
    assert answers[-1]["write"] is None
    assert "cannot be written" in answers[-1]["message"]
    many = create_many(server, [f"never {number}" for number in range(500)], description=BULK)
    assert codes(many) == ["JOURNAL_UNWRITABLE"]
    assert many["writes"] == []
    return accepted


def _with_quota() -> tuple[str, ...]:
    return (sys.executable, str(ROOT / "tests" / "support" / "confined.py"), str(QUOTA_BYTES))


def _set_quota(server: ServerProcess, limit: int) -> None:
    """Change the size to which the server may let a file grow, while it runs."""
    assert server.process is not None
    for pid in process_group(server.process.pid):
        _soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, hard))


def _fill(path: Path) -> None:
    """Write a file until its disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4_096)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes; without the right to mount one the test is skipped, save in CI."""
    mount, folder = shutil.which("mount"), tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or mount is None:
        missing("only root may mount a small file system")
    mounted = subprocess.run([mount, *options], capture_output=True, text=True, check=False)
    if mounted.returncode:
        missing(f"no right to mount a small file system here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
