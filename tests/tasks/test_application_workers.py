"""The workers of an application run its task types in servers and in processes of workers that know the application."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from counting_app import CountWords
from many_processes import Fleet
from server_process import ROOT, ServerProcess, WorkerProcess, wait_until

from afterwrite.base.json_schema import check_schema
from afterwrite.base.settings import Settings, SettingsError
from afterwrite.tasks.worker import BaseWorker
from afterwrite.tasks.workers import build_workers

MODULE = "tests.support.counting_app"
SERVE = ("-m", "afterwrite", "serve", MODULE)
CREATE = "mutation ($type: String!, $payload: JSON!) { createTask(type: $type, payload: $payload) { id status } }"


class Untyped(CountWords):
    """A worker without a type."""

    types = {}


class Entries(CountWords):
    """A worker of a built-in type."""

    types = {"entry": {"type": "object"}}


class Spaced(CountWords):
    """A worker whose type cannot stand in a URL."""

    types = {"count words": {"type": "object"}}


class Misdescribed(CountWords):
    """A worker whose schema is none."""

    types = {"count_words": {"type": "text"}}


@pytest.fixture
def counting(make_server: Callable[..., ServerProcess]) -> ServerProcess:
    """A running server of the application."""
    server = make_server()
    server.program = SERVE
    return server.start()


def created(server: ServerProcess, task_type: str, payload: Any) -> str:
    """The id of a new task."""
    made: str = server.query(CREATE, {"type": task_type, "payload": payload})["createTask"]["id"]
    return made


def ended(server: ServerProcess, task_id: str) -> Any:
    """The task once it has ended."""
    document = f"{{ task(id: {task_id}) {{ status result lockedBy }} }}"
    return wait_until(lambda: found if (found := server.query(document)["task"])["status"] == "COMPLETED" else None)


def test_a_type_of_the_application_runs_and_is_seen_like_a_built_in_one(counting: ServerProcess) -> None:
    assert ended(counting, created(counting, "count_words", {"text": "to be"}))["result"]["words"] == 2
    assert ended(counting, created(counting, "tell_port", {}))["result"] == counting.port
    assert {"count_words", "tell_port"} <= {
        one["type"] for one in counting.query("{ taskTypes { type } }")["taskTypes"]
    }
    figures = counting.get("/metrics")[1].decode()
    assert re.search(r'^afterwrite_tasks_ended_total{.*status="COMPLETED",type="count_words"} 1', figures, re.MULTILINE)
    assert b"count_words" in counting.get("/tasks")[1]
    with contextlib.closing(counting.client()) as client:
        refused = client.execute(CREATE, {"type": "count_words", "payload": {"text": 7}})["errors"][0]
    assert refused["extensions"] == {"code": "INVALID_PAYLOAD", "field": "payload.text"}


@pytest.mark.one_database("processes of workers need PostgreSQL")
def test_only_a_process_that_knows_the_application_takes_tasks_of_its_types(fleet: Fleet) -> None:
    server = fleet.server(RUN_WORKERS="off")
    server.program = SERVE
    server.start()
    fleet.worker().start()  # of app.py, which has no workers
    task = created(server, "count_words", {"text": "to be or not"})
    entry = server.query('mutation { createEntry(title: "a") { id } }')["createEntry"]["id"]
    assert ended(server, entry)["status"] == "COMPLETED"  # made later, and done by the process that cannot count
    assert server.query(f"{{ task(id: {task}) {{ status attempt }} }}")["task"] == {"status": "PENDING", "attempt": 0}
    fleet.worker("--app", MODULE, "--types", "count_words").start()
    assert ended(server, task)["result"]["words"] == 4


@pytest.mark.one_database("does not reach a database")
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([CountWords, CountWords], "The task type 'count_words' has two workers, CountWords and CountWords: "),
        ([Entries], "The task type 'entry' has two workers, EntryWorker and Entries: give one of them another type"),
        ([Spaced], "Spaced has the task type 'count words': give up to 100 letters, digits and _ . : -"),
        ([Misdescribed], "Misdescribed has an invalid JSON Schema for 'count_words': 'text' is not valid"),
        ([Untyped], r"workers has <class '.*Untyped'>: give a class derived from BaseWorker that has types"),
        ([BaseWorker], "which makes no worker: Can't instantiate abstract class BaseWorker"),
        ([lambda settings: settings], "give a class derived from BaseWorker that has types"),
        ([7], "workers has 7: give a class derived from BaseWorker, or a function that makes one of the settings"),
    ],
)
def test_a_wrong_worker_is_named(wrong: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        build_workers(Settings(), "secret of the tests", wrong)


@pytest.mark.one_database("does not reach a database")
def test_a_wrong_worker_stops_the_start_with_one_line(tmp_path: Path) -> None:
    source = (
        (ROOT / "tests" / "support" / "counting_app.py").read_text(encoding="utf-8").replace("count_words", "entry")
    )
    (tmp_path / "app.py").write_text(source, encoding="utf-8")
    server = ServerProcess(tmp_path / "data", PYTHONPATH=str(ROOT))
    server.program = (str(tmp_path / "app.py"),)
    process = server.launch(keep_errors=True)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.splitlines() == [
        "afterwrite: The task type 'entry' has two workers, EntryWorker and CountWords: give one of them another type"
    ]


@pytest.mark.one_database("does not reach a database")
def test_a_process_of_workers_without_an_application_says_where_it_looked(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DATABASE_URL": "postgresql+psycopg://a@127.0.0.1/a"}
    command = [sys.executable, "-m", *WorkerProcess.program[1:], "--app", "shop"]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr.count("\n")) == (1, 1)
    assert run.stderr.startswith(f"afterwrite: there is no shop.py in {tmp_path}: write one with an `application`")


@pytest.mark.one_database("does not reach a database")
def test_the_schemas_of_the_built_in_workers_are_schemas() -> None:
    """The start checks only those of others: that takes time."""
    for worker in build_workers(Settings(), "secret of the tests"):
        for schema in worker.types.values():
            check_schema(schema)
