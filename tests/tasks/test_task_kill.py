"""Kills the real server in the middle of tasks, again and again: each of them ends once, and nothing is lost."""

import contextlib
import http.client
import random
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kill_workers import STAGES, Notebook
from server_process import ROOT, Client, ServerProcess, wait_until

MakeServer = Callable[..., ServerProcess]
ROUNDS = 20
CLIENTS = 4
SEED = 20251124
WORKERS = {"WORKER_MODULES": "kill_workers", "PYTHONPATH": str(ROOT / "tests" / "support")}
CREATE = "mutation($type: String!, $key: String!) { createTask(type: $type, payload: {}, idempotencyKey: $key) { id } }"

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL"),
    pytest.mark.one_database("PostgreSQL has test_chaos"),
]


class Creator(threading.Thread):
    """A client that creates tasks until its connection breaks, and keeps the ids that it was answered."""

    def __init__(self, client: Client, name: str) -> None:
        super().__init__(daemon=True)
        self._client, self._name = client, name
        self.begun = threading.Event()
        self.acknowledged: list[int] = []

    def run(self) -> None:
        """Create one task after the other."""
        with contextlib.closing(self._client), contextlib.suppress(OSError, http.client.HTTPException):
            for number in range(10_000):
                task_type = "staged" if number % 2 else "recorded"
                data = self._client.query(CREATE, {"type": task_type, "key": f"{self._name}-{number}"})
                self.acknowledged.append(int(data["createTask"]["id"]))
                if number == 0:
                    self.begun.set()

    def start(self) -> None:
        """Return when the first task is acknowledged."""
        super().start()
        assert self.begun.wait(30)


def test_every_task_ends_once_over_twenty_kills(make_server: MakeServer) -> None:
    chance = random.Random(SEED)
    acknowledged: list[int] = []
    server = make_server(**WORKERS)
    server.start()
    _write_down_ends(server.data_dir)
    server.stop()
    for number in range(ROUNDS):
        server.start()
        creators = [Creator(server.client(), f"{number}-{client}") for client in range(CLIENTS)]
        for creator in creators:
            creator.start()
        _wait_acknowledged(creators, chance.randrange(20, 60))
        server.kill()
        for creator in creators:
            creator.join(30)
            acknowledged += creator.acknowledged
    server.start()
    wait_until(lambda: _all_ended(server), 120)
    assert server.stop() == 0
    _check(server.data_dir, acknowledged)


def _write_down_ends(data_dir: Path) -> None:
    with contextlib.closing(sqlite3.connect(data_dir / "tasks.db")) as database, database:
        database.execute("CREATE TABLE ends (id INTEGER)")
        database.execute(
            "CREATE TRIGGER an_end AFTER UPDATE OF status ON tasks "
            "WHEN new.status IN ('COMPLETED', 'FAILED', 'CANCELLED') "
            "BEGIN INSERT INTO ends VALUES (new.id); END"
        )


def _wait_acknowledged(creators: list[Creator], enough: int) -> None:
    wait_until(lambda: sum(len(creator.acknowledged) for creator in creators) >= enough)


def _all_ended(server: ServerProcess) -> bool:
    unfinished = "{ waiting: tasks(status: PENDING) { totalCount } running: tasks(status: PROCESSING) { totalCount } }"
    answer = server.query(unfinished)
    return not answer["waiting"]["totalCount"] and not answer["running"]["totalCount"]


def _check(data_dir: Path, acknowledged: list[int]) -> None:
    with contextlib.closing(sqlite3.connect(data_dir / "tasks.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = database.execute("SELECT id, type, status, claim, result_json ->> 'claim' FROM tasks").fetchall()
        ends = [row[0] for row in database.execute("SELECT id FROM ends")]
    assert sorted(ends) == sorted(row[0] for row in rows), "every task ends once"
    assert len(set(acknowledged)) == len(acknowledged)
    assert set(acknowledged) <= {row[0] for row in rows}
    assert len(acknowledged) >= ROUNDS * 20
    begun: dict[int, list[dict[str, Any]]] = {}
    for line in Notebook(data_dir / "notebook.jsonl").read():
        begun.setdefault(line["id"], []).append(line)
    for task_id, task_type, status, claim, recorded_by in rows:
        assert (task_id, status) == (task_id, "COMPLETED")
        assert recorded_by == claim, "what is recorded comes from the last claim and from no other"
        claims = [line["claim"] for line in begun[task_id]]
        assert claims == sorted(set(claims)), "no claim was run twice"
        stages = [STAGES.index(line["stage"]) for line in begun[task_id]]
        assert stages == sorted(stages), "a stage that was recorded is not done again"
        assert set(stages) == (set(range(len(STAGES))) if task_type == "staged" else {0})
    begun_again = [row[0] for row in rows if row[1] == "recorded" and len(begun[row[0]]) > 1]
    assert begun_again, "no kill hit a task in its middle"


def test_a_task_that_kills_its_process_each_time_ends_failed_and_takes_no_other_with_it(
    make_server: MakeServer,
) -> None:
    server = make_server(**WORKERS).start()

    def accepted() -> Any:  # it may end its process before the answer has left: the key makes it safe to ask again
        with contextlib.suppress(OSError, http.client.HTTPException):
            return server.query(CREATE, {"type": "doomed", "key": "doomed"})["createTask"]["id"]
        return None

    doomed = wait_until(accepted, 60)

    def ended() -> Any:
        with contextlib.suppress(OSError, http.client.HTTPException):
            task = server.query(f'{{ task(id: "{doomed}") {{ status attempt error {{ code message }} }} }}')["task"]
            return task if task["status"] == "FAILED" else None
        return None

    task = wait_until(ended, 60)
    assert (task["attempt"], task["error"]["code"]) == (3, "WORKER_LOST")
    assert len(Notebook(server.data_dir / "notebook.jsonl").read()) == 3
    after = server.query(CREATE, {"type": "recorded", "key": "after"})["createTask"]["id"]
    done = wait_until(lambda: server.query("{ tasks(status: COMPLETED) { nodes { id } } }")["tasks"]["nodes"])
    assert done == [{"id": after}]
    assert server.stop() == 0
