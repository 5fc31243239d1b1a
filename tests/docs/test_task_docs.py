"""The examples of docs/tasks.md work by copy and paste, and its lists are complete."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_process import ROOT, ServerProcess
from task_calls import execute

from afterwrite.base.settings import Settings
from afterwrite.rest.openapi import openapi_document
from afterwrite.tasks.registry import Refusal
from afterwrite.tasks.workers import build_workers
from app import application

TEXT = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
BASE = "http://127.0.0.1:5000"


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server for the examples."""
    server = ServerProcess(tmp_path_factory.mktemp("docs") / "data", STAGE_SECONDS="0").start()
    yield server
    server.kill()


def test_every_graphql_example_is_answered_without_errors(api: ServerProcess) -> None:
    assert len(blocks("graphql")) == 3
    for document in blocks("graphql"):
        assert "errors" not in execute(api, document)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples use curl")
def test_every_shell_example_is_answered_without_errors(api: ServerProcess, tmp_path: Path) -> None:
    printed = [shell(block, api, tmp_path) for block in blocks("sh")]
    watched, entries, process, webhooks = printed
    assert watched.rstrip().endswith("event: complete\ndata:")
    assert '"status":"COMPLETED","stage":"COMPLETED","progress":100' in watched
    assert '"title":"Hello"' in entries
    assert '"total":1' in entries
    assert '"correlation_id"' in process.splitlines()[-1]
    assert '"progress"' in process.splitlines()[-1]
    assert json.loads(webhooks) == {"received": []}


def shell(block: str, api: ServerProcess, folder: Path) -> str:
    """What a block prints when it is pasted into a shell."""
    command = ["sh", "-eu", "-c", block.replace(BASE, api.url)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert '"code"' not in run.stdout
    return run.stdout


def test_every_task_type_that_the_docs_name_exists(tmp_path: Path) -> None:
    workers = build_workers(Settings(data_dir=tmp_path), "a secret")
    types = {name for worker in workers for name in worker.types} | {"stripe_payments"}  # the module of a worker
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
    pages = [page for page in pages if page.name not in ("extending.md", "workers.md")]  # tests run their own types
    named: set[str] = set()
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for found in re.findall(r"--types ([\w,]+)|[tT]ype: \\?\"(\w+)\\?\"|`(stripe_\w+)`", text):
            named |= set("".join(found).split(","))
    assert named >= {"stripe_create_payment", "stripe_create_customer", "process_products", "entry"}
    assert named <= types


def test_the_page_names_every_route_and_every_code_of_a_refusal_and_every_field() -> None:
    for path in openapi_document({}, {})["paths"]:
        shown = path.replace("{entry_id}", "<id>").replace("{correlation_id}", "<correlation_id>")
        assert f"`{shown}`" in TEXT, path
    for refusal in Refusal:
        assert f"`{refusal.value}`" in TEXT, refusal
    fields = application.schema.get_type("Task").fields  # type: ignore[union-attr]
    for field in fields:
        assert re.search(rf"\b{field}\b", TEXT), field
