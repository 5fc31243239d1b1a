"""Starts the server where it must not run: it says why in one line and leaves everything as it was."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from other_process import write_lock
from product_calls import create, create_many, stored_titles, wait_applied, wait_degraded, waiting_titles
from server_process import ROOT, ServerProcess

MakeServer = Callable[..., ServerProcess]
SERVERS = pytest.mark.parametrize("kind", ["granian", "gunicorn"])
START_SECONDS = 30
WITHOUT_POWER_OVER_MODES = (sys.executable, str(ROOT / "tests" / "support" / "confined.py"), "file-modes")

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="sends SIGTERM"),
    pytest.mark.one_database("it harms files"),
]


@pytest.mark.parametrize("ended", ["stopped", "killed"])
def test_a_damaged_journal_stops_the_start_and_is_left_as_it_is(make_server: MakeServer, ended: str) -> None:
    server = _with_waiting_writes(make_server(), killed=ended == "killed")
    journal = server.data_dir / "journal.db"
    good = journal.read_bytes()
    with journal.open("r+b") as file:
        file.write(b"This is no database any more. " * 4)
    before = _files(server.data_dir)
    said = _refusal(server)
    assert str(journal) in said
    assert "cannot be read" in said
    assert "restore it from a backup" in said
    assert _files(server.data_dir) == before
    journal.write_bytes(good)
    _assert_all_is_applied(server)


def test_a_journal_with_damaged_pages_stops_the_start_and_is_left_as_it_is(make_server: MakeServer) -> None:
    server = _with_waiting_writes(make_server(), writes=1_000)
    journal = server.data_dir / "journal.db"
    with journal.open("r+b") as file:
        file.seek(20_000)
        file.write(b"\xa5" * 30_000)
    before = _files(server.data_dir)
    said = _refusal(server)
    assert str(journal) in said
    assert "it is not skipped" in said
    assert _files(server.data_dir) == before


def test_a_missing_product_database_stops_the_start_and_putting_it_back_applies_all(make_server: MakeServer) -> None:
    server = _with_waiting_writes(make_server())
    products = server.data_dir / "products.db"
    products.rename(server.data_dir / "elsewhere")
    said = _refusal(server)
    assert str(products) in said
    assert "is missing" in said
    assert "(10 writes waiting there)" in said
    assert not products.exists()
    (server.data_dir / "elsewhere").rename(products)
    _assert_all_is_applied(server)


def test_a_damaged_product_database_stops_the_start_and_a_backup_lets_all_be_applied(make_server: MakeServer) -> None:
    server = _with_waiting_writes(make_server())
    products = server.data_dir / "products.db"
    backup = products.read_bytes()
    products.write_bytes(b"\0" * 100 + backup[100:])
    before = _files(server.data_dir)
    said = _refusal(server)
    assert _files(server.data_dir) == before
    assert str(products) in said
    assert "put back a backup" in said
    assert "What was accepted is safe in journal.db (10 writes)" in said
    products.write_bytes(backup)
    _assert_all_is_applied(server)


def test_an_older_product_database_stops_the_start_and_the_newer_one_goes_on(make_server: MakeServer) -> None:
    server = make_server().start()
    server.query('mutation { createProductSync(title: "old", price: 1) { success } }')
    server.stop()
    products = server.data_dir / "products.db"
    older = products.read_bytes()
    server.start().query('mutation { createProductSync(title: "new", price: 1) { success } }')
    server.stop()
    newer = products.read_bytes()
    products.write_bytes(older)
    said = _refusal(server)
    assert f"{products} is older than its journal" in said
    assert "move journal.db away" in said
    products.write_bytes(newer)
    assert server.start().query("{ allProducts { title } }")["allProducts"] == [{"title": "old"}, {"title": "new"}]


def test_the_journal_of_another_catalogue_stops_the_start(make_server: MakeServer, tmp_path: Path) -> None:
    server = _with_waiting_writes(make_server())
    other = make_server(tmp_path / "other").start()
    other.stop()
    own, foreign = server.data_dir / "journal.db", other.data_dir / "journal.db"
    own.rename(tmp_path / "kept")
    foreign.rename(own)
    said = _refusal(server)
    assert "belongs to another catalogue" in said
    assert str(own) in said
    own.unlink()
    (tmp_path / "kept").rename(own)
    _assert_all_is_applied(server)


@pytest.mark.skipif(sys.platform != "linux", reason="takes a capability of Linux from root")
@pytest.mark.parametrize("name", ["products", "journal"])
def test_a_read_only_database_stops_the_start(make_server: MakeServer, name: str) -> None:
    server = _with_waiting_writes(make_server())
    path = server.data_dir / f"{name}.db"
    path.chmod(0o444)
    before = _files(server.data_dir)
    said = _refusal(server, *WITHOUT_POWER_OVER_MODES)
    assert str(path) in said
    assert "read-only" in said.replace("readonly", "read-only")
    assert "heck the rights" in said
    assert _files(server.data_dir) == before
    path.chmod(0o644)
    _assert_all_is_applied(server)


@pytest.mark.parametrize("name", ["products", "journal"])
def test_a_schema_newer_than_the_program_stops_the_start(make_server: MakeServer, name: str) -> None:
    server = _with_waiting_writes(make_server())
    with contextlib.closing(sqlite3.connect(server.data_dir / f"{name}.db")) as database:
        database.execute("PRAGMA user_version = 900")
    said = _refusal(server)
    assert "has schema version 900" in said
    assert "start a newer version of the program" in said
    assert waiting_titles(server) == [f"waits {number}" for number in range(10)]


@pytest.mark.parametrize(
    "arguments",
    [
        "--workers 2",
        "--preload",
        "--worker-class sync",
        "--threads 100",
        "--reload",
        "--max-requests 5",
        "--protocol uwsgi",
        "--http-protocols h2,h1",
        "--proxy-protocol auto",
    ],
)
def test_arguments_of_gunicorn_that_would_break_a_promise_stop_the_start(
    make_server: MakeServer, arguments: str
) -> None:
    said = _refusal(make_server(SERVER="gunicorn", GUNICORN_CMD_ARGS=arguments))
    assert said.startswith(f"afterwrite: GUNICORN_CMD_ARGS sets {arguments.split()[0]} (")
    assert said.endswith(". Take it out\n")


@pytest.mark.one_database("the command line comes before any data")
def test_a_gunicorn_that_is_started_by_hand_refuses_them_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gunicorn", "--preload", "--bind", "127.0.0.1:0", "app:wsgi()"]
    environment = os.environ | {"DATA_DIR": str(tmp_path / "data")}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert run.stderr.startswith("afterwrite: The command line sets --preload (True): ")
    assert not (tmp_path / "data").exists()


def test_other_arguments_of_gunicorn_are_its_own_matter(make_server: MakeServer) -> None:
    server = make_server(SERVER="gunicorn", GUNICORN_CMD_ARGS="--workers 1 --keep-alive 5 --limit-request-line 4000")
    assert server.start().get("/ready")[0] == 200


def test_a_signal_that_asks_gunicorn_for_another_worker_changes_nothing(make_server: MakeServer) -> None:
    server = make_server(SERVER="gunicorn", LOG_STDERR="off")
    process = server.start(keep_errors=True).process
    assert process is not None and process.stderr is not None
    process.send_signal(signal.SIGTTIN)
    assert "Not starting another worker" in process.stderr.readline()
    assert server.ready()
    assert server.stop() == 0


@SERVERS
def test_a_second_server_on_the_same_folder_stops_and_does_not_disturb_the_first(
    make_server: MakeServer, kind: str
) -> None:
    first = make_server(SERVER=kind).start()
    said = _refusal(make_server(first.data_dir, SERVER=kind))
    assert f"Another Afterwrite process owns the data folder {first.data_dir}" in said
    assert "DATA_DIR" in said
    assert create(first, "still there")["success"]
    wait_applied(first)


@SERVERS
def test_a_port_in_use_stops_the_start(make_server: MakeServer, tmp_path: Path, kind: str) -> None:
    first = make_server(tmp_path / "first", SERVER=kind).start()
    second = make_server(tmp_path / "second", SERVER=kind)
    second.port = first.port
    said = _refusal(second)
    assert f"127.0.0.1:{first.port}" in said
    assert "PORT" in said
    assert create(first, "still there")["success"]


def test_a_port_that_another_program_listens_on_stops_the_start(make_server: MakeServer) -> None:
    server = make_server()
    with socket.create_server(("127.0.0.1", server.port)):
        assert f"Cannot listen on 127.0.0.1:{server.port}" in _refusal(server)
    server.start()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVER", "apache"),
        ("THREADS", "many"),
        ("QUEUE_MAX_WRITES", "0"),
        ("JOURNAL_SYNC", "off"),
        ("THREADS", "4"),
        ("HOST", "203.0.113.7"),
        ("DATA_DIR", "/proc/nowhere"),
    ],
)
def test_a_bad_setting_stops_the_start(make_server: MakeServer, name: str, value: str) -> None:
    server = make_server(**{name: value})
    said = _refusal(server)
    assert name in said
    assert value in said


def _refusal(server: ServerProcess, *before: str) -> str:
    """Start the server, which must end at once with exit code 1 and one line; returns that line."""
    process = server.launch(*before, keep_errors=True)
    _out, said = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 1, said
    assert said.startswith("afterwrite: ")
    assert said.count("\n") == 1, said
    assert len(said) > 40
    return said


def _with_waiting_writes(server: ServerProcess, writes: int = 10, *, killed: bool = False) -> ServerProcess:
    """The same server, stopped or killed, with one product applied and ten that wait in the journal."""
    server.environment["STOP_SECONDS"] = "0"
    server.start()
    create(server, "applied")
    wait_applied(server)
    with write_lock(server.data_dir / "products.db"):
        create_many(server, [f"waits {number}" for number in range(writes)])
        wait_degraded(server)
        if killed:
            server.kill()
        else:
            assert server.stop() == 0
    del server.environment["STOP_SECONDS"]
    return server


def _assert_all_is_applied(server: ServerProcess) -> None:
    server.start()
    wait_applied(server)
    assert stored_titles(server) == ["applied", *(f"waits {number}" for number in range(10))]


def _files(folder: Path) -> dict[str, bytes]:
    """The databases in a folder, byte by byte."""
    return {path.name: path.read_bytes() for path in folder.glob("*.db*") if not path.name.endswith("-shm")}
