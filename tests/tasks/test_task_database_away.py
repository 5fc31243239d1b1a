"""What becomes of tasks while their database cannot be used, and what a start says about a wrong one."""

import contextlib
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from other_process import write_lock
from server_process import ServerProcess, wait_until

MakeServer = Callable[..., ServerProcess]
CREATE = 'mutation { createEntry(title: "E") { id } }'
HEALTH_SECONDS = 30
START_SECONDS = 30

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="sends SIGTERM"),
    pytest.mark.one_database("it takes files away; test_postgres_away takes PostgreSQL away"),
]


def test_while_the_task_database_is_locked_products_go_on_and_tasks_are_refused_cleanly(
    make_server: MakeServer,
) -> None:
    server = make_server(STAGE_SECONDS="0").start()
    with write_lock(server.data_dir / "tasks.db"):
        with contextlib.closing(server.client()) as client:
            refused = client.execute(CREATE)
        [error] = refused["errors"]
        assert error["extensions"]["code"] == "DATABASE_UNAVAILABLE"
        assert "send this again later" in error["message"]
        assert refused["data"] == {"createEntry": None}
        done = server.query('mutation { createProductSync(title: "Lamp", price: 1) { success } }')
        assert done["createProductSync"]["success"]
    entry = server.query(CREATE)["createEntry"]["id"]
    wait_until(lambda: server.query(f'{{ entry(id: "{entry}") {{ status }} }}')["entry"]["status"] == "COMPLETED")
    assert server.query("{ tasks { totalCount } }")["tasks"]["totalCount"] == 1


def test_tasks_that_run_while_their_database_is_locked_are_recorded_afterwards(make_server: MakeServer) -> None:
    server = make_server(STAGE_SECONDS="1").start()
    entry = server.query(CREATE)["createEntry"]["id"]
    status = f'{{ task(id: "{entry}") {{ status attempt }} }}'
    wait_until(lambda: server.query(status)["task"]["status"] == "PROCESSING")
    with write_lock(server.data_dir / "tasks.db"):
        wait_until(lambda: b'"tasks":{"running":{},"status":"degraded"' in server.get("/health")[1], HEALTH_SECONDS)
        assert b"database is locked" in server.get("/health")[1]
    wait_until(lambda: server.query(status)["task"] == {"status": "COMPLETED", "attempt": 1}, 30)
    wait_until(lambda: b'"status":"ok","tasks"' in server.get("/health")[1])
    assert server.log.count("cannot be written") == 1
    assert "the task database is available again" in server.log


def _refusal(server: ServerProcess) -> str:
    process = server.launch(keep_errors=True)
    _out, said = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 1, said
    assert said.startswith("afterwrite: ")
    assert said.count("\n") == 1, said
    return said


def test_a_missing_damaged_or_foreign_task_database_stops_the_start(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(STAGE_SECONDS="0").start()
    server.query(CREATE)
    server.stop()
    other = make_server(tmp_path / "other").start()
    other.stop()
    tasks, kept = server.data_dir / "tasks.db", tmp_path / "kept"
    tasks.rename(kept)
    assert f"{tasks} is missing" in _refusal(server)
    assert not tasks.exists()
    tasks.write_bytes(b"This is no database. " * 10)
    assert f"{tasks} cannot be opened: it is not a database" in _refusal(server)
    tasks.write_bytes((other.data_dir / "tasks.db").read_bytes())
    assert "belongs to another task database" in _refusal(server)
    kept.rename(tasks)
    with sqlite3.connect(tasks) as database:
        [(version,)] = database.execute("PRAGMA user_version")
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert "schema version 99" in _refusal(server)
    with sqlite3.connect(tasks) as database:
        database.execute(f"PRAGMA user_version = {version}")
    database.close()
    server.start()
    assert server.query("{ tasks { totalCount } }")["tasks"]["totalCount"] == 1


def test_a_folder_from_before_there_were_tasks_gets_a_task_database(make_server: MakeServer) -> None:
    server = make_server(STAGE_SECONDS="0").start()
    server.stop()
    for path in server.data_dir.glob("tasks.db*"):
        path.unlink()
    with sqlite3.connect(server.data_dir / "journal.db") as journal:
        journal.execute("DELETE FROM meta WHERE name = 'tasks'")  # as the version before left it
    journal.close()
    assert server.start().query(CREATE)["createEntry"]["id"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("WORKER_MODULES", "no_such_module", "WORKER_MODULES names 'no_such_module', which cannot be used"),
        ("WORKER_MODULES", "json", "has no attribute 'build_workers'"),
        ("STRIPE_SECRET_KEY", "sk_test_a b", "STRIPE_SECRET_KEY contains a space"),
    ],
)
def test_wrong_workers_stop_the_start_with_one_line(make_server: MakeServer, name: str, value: str, says: str) -> None:
    said = _refusal(make_server(**{name: value}))
    assert says in said
    assert "sk_test" not in said
