"""A first start that a power cut ended: what it left in the data folder lets the next start go on."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from product_calls import create, stored_titles, wait_applied
from server_process import ServerProcess

MakeServer = Callable[..., ServerProcess]
START_SECONDS = 30
JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
NAMES = pytest.mark.parametrize("name", ["journal.db", "products.db", "tasks.db"])

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL"),
    pytest.mark.one_database("it harms files"),
]

# The first transaction of a database that grows out of its cache: pages are in the file, and the first one is not.
_FIRST_TRANSACTION = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 4")
database.execute("BEGIN")
database.execute("CREATE TABLE one (content TEXT)")
database.executemany("INSERT INTO one VALUES (?)", [("x" * 3_000,)] * 100)
print("under way", flush=True)
sys.stdin.read()
"""


def _cut_in_first_transaction(path: Path) -> None:
    command = [sys.executable, "-c", _FIRST_TRANSACTION, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "under way\n"
        process.kill()
    assert path.read_bytes()[:4_096] == bytes(4_096)
    assert path.with_name(f"{path.name}-journal").read_bytes().startswith(JOURNAL_MAGIC)


def _refusal(server: ServerProcess) -> str:
    process = server.launch(keep_errors=True)
    _out, said = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 1, said
    assert said.count("\n") == 1, said
    return said


@NAMES
def test_a_database_of_nuls_beside_its_journal_is_rolled_back_and_the_server_starts(
    make_server: MakeServer, name: str
) -> None:
    server = make_server()
    server.data_dir.mkdir(exist_ok=True)
    _cut_in_first_transaction(server.data_dir / name)
    server.start()
    assert create(server, "after the cut")["success"]
    wait_applied(server)
    assert stored_titles(server) == ["after the cut"]


@NAMES
def test_a_database_of_nuls_without_a_journal_stops_the_start_and_is_left_as_it_is(
    make_server: MakeServer, name: str
) -> None:
    server = make_server()
    server.data_dir.mkdir(exist_ok=True)
    path = server.data_dir / name
    path.write_bytes(bytes(8_192))
    assert f"{path} cannot be" in _refusal(server)
    assert path.read_bytes() == bytes(8_192)


def test_empty_files_become_databases(make_server: MakeServer) -> None:
    server = make_server()
    server.data_dir.mkdir(exist_ok=True)
    for name in ("journal.db", "products.db", "tasks.db"):
        (server.data_dir / name).touch()
    server.start()
    assert create(server, "first")["success"]
    wait_applied(server)
    assert stored_titles(server) == ["first"]


@pytest.mark.parametrize("name", ["products.db", "tasks.db"])
def test_a_database_that_became_empty_stops_the_start_and_is_left_as_it_is(make_server: MakeServer, name: str) -> None:
    server = make_server().start()
    assert create(server, "before")["success"]
    wait_applied(server)
    server.stop()
    path = server.data_dir / name
    content = path.read_bytes()
    path.write_bytes(b"")
    assert f"{path} is missing or empty" in _refusal(server)
    assert path.read_bytes() == b""
    path.write_bytes(content)
    server.start()
    assert stored_titles(server) == ["before"]


def test_an_empty_journal_beside_its_wal_stops_the_start_and_the_wal_is_left_as_it_is(make_server: MakeServer) -> None:
    server = make_server().start()
    assert create(server, "before")["success"]
    wait_applied(server)
    server.kill()
    journal, wal = server.data_dir / "journal.db", server.data_dir / "journal.db-wal"
    content, log = journal.read_bytes(), wal.read_bytes()
    assert log
    journal.write_bytes(b"")
    assert f"{journal} cannot be read" in _refusal(server)
    assert wal.read_bytes() == log
    journal.write_bytes(content)
    server.start()
    assert stored_titles(server) == ["before"]
