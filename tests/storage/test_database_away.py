"""Takes the product database away in several ways: writes are accepted all the same, applied afterwards."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from other_process import write_lock
from product_calls import create, create_many, health, queue_state, stored_titles, update, wait_applied, wait_degraded
from server_process import ServerProcess, wait_until

MakeServer = Callable[..., ServerProcess]
HELD_SECONDS = 3

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be moved there"),
    pytest.mark.one_database("it takes files away; test_postgres_away takes PostgreSQL away"),
]


def test_while_another_process_locks_the_database_creates_are_answered_and_all_are_applied_afterwards(
    server: ServerProcess,
) -> None:
    titles: list[str] = []
    slowest = 0.0
    until = time.monotonic() + HELD_SECONDS
    with write_lock(server.data_dir / "products.db"):
        while time.monotonic() < until:
            titles.append(f"product {len(titles)}")
            started = time.monotonic()
            assert create(server, titles[-1])["success"]
            slowest = max(slowest, time.monotonic() - started)
        assert "database is locked" in wait_degraded(server)
        assert health(server)["queue"]["depth"] == len(titles)
        assert stored_titles(server) == []
    wait_applied(server)
    assert slowest < HELD_SECONDS
    assert len(titles) > 10
    assert stored_titles(server) == titles
    assert queue_state(server) == "IDLE"
    assert "the product database can be written again" in server.log


def test_a_lock_that_meets_the_search_index_in_a_quiet_moment_stops_no_later_write(server: ServerProcess) -> None:
    products, met = server.data_dir / "products.db", False
    while not met:  # until the lock is faster than the index
        create(server, "before")
        wait_applied(server)
        with write_lock(products):
            if met := _index_is_behind(products):
                wait_until(lambda: health(server)["status"] == "degraded")
    assert create(server, "after")["success"]
    wait_applied(server)
    assert stored_titles(server)[-1] == "after"


def test_a_database_that_becomes_immutable_delays_writes_and_fails_none(server: ServerProcess) -> None:
    create(server, "before")
    wait_applied(server)
    with _immutable(server.data_dir / "products.db-wal"):  # an open file is not bound by its mode
        assert create(server, "waits 1")["success"]
        wait_degraded(server)
        assert create(server, "waits 2")["success"]
    wait_applied(server)
    assert stored_titles(server) == ["before", "waits 1", "waits 2"]


def test_a_database_that_is_moved_away_and_put_back_gets_every_write(server: ServerProcess) -> None:
    products, elsewhere = server.data_dir / "products.db", server.data_dir / "elsewhere"
    create(server, "before")
    wait_applied(server)
    products.rename(elsewhere)
    assert create(server, "waits 1")["success"]
    assert str(products) in wait_degraded(server)
    assert create(server, "waits 2")["success"]
    assert not products.exists()
    elsewhere.rename(products)
    wait_applied(server)
    assert stored_titles(server) == ["before", "waits 1", "waits 2"]


@pytest.mark.parametrize("other", ["another catalogue", "an empty file", "a copy"])
def test_a_database_that_is_replaced_is_not_written_until_the_right_one_is_back(
    make_server: MakeServer, server: ServerProcess, tmp_path: Path, other: str
) -> None:
    products, kept = server.data_dir / "products.db", tmp_path / "kept"
    create(server, "before")
    wait_applied(server)
    stranger = tmp_path / "stranger"
    _make_stranger(make_server, stranger, products, other)
    foreign = stranger.read_bytes()
    products.rename(kept)
    stranger.rename(products)
    assert create(server, "waits")["success"]
    assert "restart" in wait_degraded(server)
    assert products.read_bytes() == foreign
    kept.rename(products)
    wait_applied(server)
    assert stored_titles(server) == ["before", "waits"]


def test_a_database_that_is_damaged_while_it_runs_delays_writes_until_a_backup_is_back(
    make_server: MakeServer, tmp_path: Path
) -> None:
    server = make_server(STOP_SECONDS="0").start()
    products, backup = server.data_dir / "products.db", tmp_path / "backup.db"
    created = [_create_bulky(server, number) for number in range(6)]  # more than a connection keeps in memory
    wait_applied(server)
    _back_up(products, backup)
    with products.open("r+b") as file:
        file.write(b"\xa5" * products.stat().st_size)
    for number in range(50):
        assert update(server, created[number % 6], f"changed {number}")["success"]
    trouble = wait_degraded(server)
    assert "malformed" in trouble or "not a database" in trouble
    assert create(server, "still accepted")["success"]
    assert health(server)["queue"]["depth"] == 51
    assert _error_code(server, "{ allProducts { title } }") == "DATABASE_UNAVAILABLE"
    server.kill()
    for path in server.data_dir.glob("products.db*"):
        path.unlink()
    shutil.copy(backup, products)
    server.start()
    wait_applied(server)
    titles = stored_titles(server)
    assert titles[::500] == [*(f"changed {number}" for number in (48, 49, 44, 45, 46, 47)), "still accepted"]


def _error_code(server: ServerProcess, document: str) -> str:
    with contextlib.closing(server.client()) as client:
        return str(client.execute(document)["errors"][0]["extensions"]["code"])


def _index_is_behind(products: Path) -> bool:
    with contextlib.closing(sqlite3.connect(products)) as database:
        [(last, indexed)] = database.execute(
            "SELECT max(products.id), indexed_through FROM products, products_search_state"
        )
    return bool(last > indexed)


@contextlib.contextmanager
def _immutable(path: Path) -> Iterator[None]:
    chattr = shutil.which("chattr")
    if chattr is None or subprocess.run([chattr, "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("no right to make a file immutable here (chattr +i)")
    try:
        yield
    finally:
        subprocess.run([chattr, "-i", path], check=True)


def _make_stranger(make_server: MakeServer, stranger: Path, products: Path, kind: str) -> None:
    """A file to be put in the place of the product database."""
    if kind == "a copy":
        _back_up(products, stranger)
    elif kind == "an empty file":
        stranger.touch()
    else:
        other = make_server(stranger.parent / "other").start()
        other.stop()
        (other.data_dir / "products.db").rename(stranger)


def _back_up(source: Path, target: Path) -> None:
    with contextlib.closing(sqlite3.connect(source)) as database, contextlib.closing(sqlite3.connect(target)) as copy:
        database.backup(copy)


def _create_bulky(server: ServerProcess, number: int) -> str:
    """Create 500 products of some kilobytes; returns the id of the first."""
    answer = create_many(server, [f"bulky {number} {item}" for item in range(500)], description=os.urandom(1_500).hex())
    assert answer["success"], answer
    return str(answer["writes"][0]["productId"])
