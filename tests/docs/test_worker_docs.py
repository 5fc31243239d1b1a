"""The page on workers is true: its example runs as it stands there, and its table names the workers that ship."""

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import EmbeddedDatabase
from server_process import ROOT, ServerProcess, wait_until
from task_house import TaskHouse
from worker_runs import WorkerRuns

from afterwrite.base.settings import Settings
from afterwrite.tasks.registry import Refusal, TaskRefused
from afterwrite.tasks.retry import RetryPolicy
from afterwrite.tasks.worker import BaseWorker
from afterwrite.tasks.workers import build_workers

FOLDER = ROOT / "docs"
PAGE = (FOLDER / "workers.md").read_text(encoding="utf-8")
MODULE = "worker_of_the_page"
APPLICATION = f"""
from {MODULE} import CountWordsWorker
from afterwrite import Application

application = Application(workers=[CountWordsWorker])
wsgi = application.wsgi
"""
TYPE = "count_words"
PAYLOAD = {"text": "to be or not to be"}
COUNTED = {"words": 6, "different": 4}


def blocks(language: str) -> list[str]:
    """The blocks of code of a language, in the order of the page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the example as a module, and an application."""
    (tmp_path / f"{MODULE}.py").write_text(blocks("python")[0], encoding="utf-8")
    (tmp_path / "app.py").write_text(APPLICATION, encoding="utf-8")
    return tmp_path


@pytest.fixture
def worker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BaseWorker]:
    """The example's worker."""
    monkeypatch.syspath_prepend(folder)
    made: BaseWorker = importlib.import_module(MODULE).CountWordsWorker()
    yield made
    sys.modules.pop(MODULE)


def test_the_example_has_less_than_25_lines() -> None:
    assert len(blocks("python")[0].splitlines()) < 25


def test_the_example_runs_in_the_real_queue(worker: BaseWorker, tmp_path: Path) -> None:
    house = TaskHouse(EmbeddedDatabase(tmp_path / "data"), worker).start()
    try:
        counted, empty = house.wait_all([house.create(TYPE, payload=PAYLOAD), house.create(TYPE, payload={"text": ""})])
        with pytest.raises(TaskRefused) as refused:
            house.create(TYPE, payload={"text": 7})
    finally:
        house.stop()
    assert (counted.status, counted.result) == ("COMPLETED", COUNTED)
    assert (empty.status, empty.attempt) == ("FAILED", 1)
    assert empty.error is not None
    assert (empty.error.code, empty.error.final) == ("NO_WORDS", True)
    assert refused.value.refusal == Refusal.INVALID_PAYLOAD


def test_the_example_runs_in_a_server_as_the_page_asks_for_it(
    folder: Path, make_server: Callable[..., ServerProcess]
) -> None:
    server = make_server(PYTHONPATH=str(ROOT))
    server.program = ("-m", "afterwrite", "serve")
    server.start(cwd=folder)
    (created,) = server.query(blocks("graphql")[0]).values()
    assert created["status"] == "PENDING"

    def ended() -> Any:
        task = server.query("query ($id: ID!) { task(id: $id) { status result } }", {"id": created["id"]})["task"]
        return task if task["status"] not in ("PENDING", "PROCESSING") else None

    assert wait_until(ended) == {"status": "COMPLETED", "result": COUNTED}


def test_the_test_of_the_example_passes(worker: BaseWorker) -> None:
    names = {"CountWordsWorker": type(worker), "WorkerRuns": WorkerRuns}
    exec(compile(blocks("python")[1], "workers.md", "exec"), names)


def test_the_table_names_each_worker_that_ships_with_its_file_and_its_payload() -> None:
    table = PAGE.partition("## Built-in workers")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| `")]
    named = {row[0].strip("`"): (row[1], re.findall(r"`(\w+)`", row[2])) for row in rows}
    expected = {}
    for shipped in build_workers(Settings(), "secret of the tests"):
        file = f"{type(shipped).__module__.rpartition('.')[2]}.py"
        link = f"[`{file}`](../afterwrite/tasks/workers/{file})"
        for task_type, schema in shipped.types.items():
            expected[task_type] = (link, sorted(schema["properties"]))
    assert {name: (file, sorted(payload)) for name, (file, payload) in named.items()} == expected


def test_the_page_gives_the_defaults_of_a_worker() -> None:
    assert f"| `concurrency` | `{BaseWorker.concurrency}` |" in PAGE
    assert f"| `time_limit_seconds` | `{BaseWorker.time_limit_seconds}` |" in PAGE
    policy = BaseWorker.retry
    assert policy == RetryPolicy(5, 1.0, 2.0, 300.0, 0.5)
    assert f"{policy.max_attempts} attempts; pauses of 1, 2, 4, … seconds, max {policy.longest_seconds:g}, less" in PAGE


def test_every_file_that_the_page_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert links
    for link in {link.partition("#")[0] for link in links}:
        assert (FOLDER / link).exists(), link


def test_the_results_of_the_shipped_pipelines_have_the_names_that_the_table_gives() -> None:
    payloads: dict[str, Any] = {"entry": {"title": "a"}, "process_products": {"products": [{"title": "a", "price": 1}]}}
    for shipped in build_workers(Settings(stage_seconds=0), "secret of the tests"):
        for task_type in payloads.keys() & shipped.types.keys():
            result = WorkerRuns(shipped).ended(task_type, payloads[task_type]).result
            (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{task_type}` |")]
            assert re.findall(r"`(\w+)`", line.split("|")[4]) == list(json.loads(json.dumps(result)))
