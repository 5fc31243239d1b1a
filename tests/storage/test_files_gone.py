"""Removes or replaces a file of the data folder while the server runs: nothing is answered that would be lost."""

import contextlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from product_calls import codes, create, health, stored_titles, wait_applied, wait_degraded
from server_process import ServerProcess, wait_until

MakeServer = Callable[..., ServerProcess]
CREATE = 'mutation { createEntry(title: "E") { id } }'
CREATE_SYNC = """mutation { createProductSync(title: "waits", price: 1) {
  success product { id } write { status } } }"""
WAYS = pytest.mark.parametrize("way", ["removed", "replaced"])

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be moved there"),
    pytest.mark.one_database("it takes files away; test_postgres_away takes PostgreSQL away"),
]


def _take_away(path: Path, way: str) -> Path:
    """Take the file away, or put a copy of it in its place; returns where it is."""
    kept = path.with_name("kept")
    path.rename(kept)
    if way == "replaced":
        shutil.copy(kept, path)
    return kept


def _entry_errors(server: ServerProcess) -> list[str]:
    with contextlib.closing(server.client()) as client:
        errors: list[dict[str, Any]] = client.execute(CREATE).get("errors", [])
    return [error["extensions"]["code"] for error in errors]


def _entries(server: ServerProcess) -> int:
    return int(server.query("{ tasks { totalCount } }")["tasks"]["totalCount"])


@WAYS
def test_without_its_journal_the_server_accepts_no_write_until_it_is_back(make_server: MakeServer, way: str) -> None:
    server = make_server().start()
    journal = server.data_dir / "journal.db"
    assert create(server, "before")["success"]
    wait_applied(server)
    kept = _take_away(journal, way)
    foreign = journal.read_bytes() if way == "replaced" else None
    for _ in range(20):
        refused = create(server, "never")
        assert codes(refused) == ["JOURNAL_UNWRITABLE"]
    assert health(server)["status"] == health(server)["journal"]["status"] == "degraded"
    assert f"{journal} cannot be written: the file" in health(server)["journal"]["trouble"]
    if foreign is not None:
        assert journal.read_bytes() == foreign
    kept.rename(journal)
    wait_applied(server)
    assert create(server, "after")["success"]
    server.kill()
    server.start()
    wait_applied(server)
    assert stored_titles(server) == ["before", "after"]


@WAYS
def test_without_its_task_database_the_server_takes_no_task_until_it_is_back(make_server: MakeServer, way: str) -> None:
    server = make_server(STAGE_SECONDS="0").start()
    tasks = server.data_dir / "tasks.db"
    assert _entry_errors(server) == []
    wait_until(lambda: server.query("{ tasks(status: COMPLETED) { totalCount } }")["tasks"]["totalCount"])
    kept = _take_away(tasks, way)
    assert {code for _ in range(20) for code in _entry_errors(server)} == {"DATABASE_UNAVAILABLE"}
    wait_until(lambda: health(server)["tasks"]["status"] == "degraded")
    assert str(tasks) in health(server)["tasks"]["trouble"]
    assert create(server, "products go on")["success"]
    kept.rename(tasks)
    wait_until(lambda: health(server)["status"] == "ok")
    assert _entry_errors(server) == []
    server.kill()
    server.start()
    assert _entries(server) == 2


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_without_the_wal_of_its_journal_the_server_accepts_nothing_and_keeps_what_it_held(
    make_server: MakeServer, end: str
) -> None:
    server = make_server().start()
    before = create(server, "before", key="one")["write"]["id"]
    wait_applied(server)
    (server.data_dir / "journal.db-wal").unlink()
    refused = create(server, "never")
    assert codes(refused) == ["JOURNAL_UNWRITABLE"]
    assert health(server)["journal"]["status"] == "degraded"
    assert "journal.db-wal is gone" in health(server)["journal"]["trouble"]
    getattr(server, end)()
    server.start()
    assert create(server, "before", key="one")["write"]["id"] == before
    assert create(server, "after")["success"]
    wait_applied(server)
    assert stored_titles(server) == ["before", "after"]


def test_without_the_wal_of_its_product_database_writes_wait_in_the_journal_and_a_kill_loses_none(
    make_server: MakeServer,
) -> None:
    server = make_server(WAIT_SECONDS="1").start()
    assert create(server, "before")["success"]
    wait_applied(server)
    (server.data_dir / "products.db-wal").unlink()
    waits = server.query(CREATE_SYNC)["createProductSync"]
    assert waits["product"] is None
    assert waits["write"]["status"] == "QUEUED"
    assert "products.db-wal is gone" in wait_degraded(server)
    server.kill()
    server.start()
    wait_applied(server)
    assert stored_titles(server) == ["before", "waits"]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_without_the_wal_of_its_task_database_the_server_takes_no_task_and_keeps_those_it_has(
    make_server: MakeServer, end: str
) -> None:
    server = make_server(STAGE_SECONDS="0").start()
    assert _entry_errors(server) == []
    (server.data_dir / "tasks.db-wal").unlink()
    assert _entry_errors(server) == ["DATABASE_UNAVAILABLE"]
    getattr(server, end)()
    server.start()
    assert _entry_errors(server) == []
    assert _entries(server) == 2


@pytest.mark.parametrize(
    ("name", "part"), [("journal.db", "journal"), ("products.db", "database"), ("tasks.db", "tasks")]
)
def test_health_notices_by_itself_that_a_file_is_gone_and_that_it_is_back(
    make_server: MakeServer, name: str, part: str
) -> None:
    server = make_server().start()
    path = server.data_dir / name
    kept = _take_away(path, "removed")
    wait_until(lambda: health(server)[part]["status"] == "degraded")
    assert health(server)["status"] == "degraded"
    assert str(path) in health(server)[part]["trouble"]
    kept.rename(path)
    wait_until(lambda: health(server)["status"] == "ok")
