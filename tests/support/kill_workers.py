"""Workers for the kill tests, named by WORKER_MODULES: they write down what they do, or end their process."""

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from afterwrite.base.settings import Settings
from afterwrite.tasks.retry import RetryPolicy
from afterwrite.tasks.task import Task
from afterwrite.tasks.worker import BaseWorker, TaskContext, next_stage

STAGES = [None, "SECOND", "THIRD"]
SOON = RetryPolicy(max_attempts=100, first_seconds=0.05, factor=1)


class Notebook:
    """A file to which every process appends lines; what is written stays when the process is killed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, **line: Any) -> None:
        """Append a line in one call."""
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, json.dumps(line).encode() + b"\n")
        os.close(handle)

    def read(self) -> list[dict[str, Any]]:
        """Every line, in the order in which they were written."""
        return [json.loads(line) for line in self._path.read_text().splitlines()] if self._path.exists() else []


class RecordedWorker(BaseWorker):
    """Writes down when it begins, works for a moment, and tells under which claim it did."""

    types = {"recorded": {"type": "object"}, "staged": {"type": "object"}}
    concurrency = 16
    retry = SOON

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook

    async def execute_task(self, task: Task, context: TaskContext) -> Any:
        """Do one stage, or all of a task that has none."""
        self._notebook.write(id=task.id, type=task.type, stage=task.stage, claim=task.claim)
        await context.progress(50)
        await context.sleep(0.02)
        following = STAGES.index(task.stage) + 1
        if task.type == "staged" and following < len(STAGES):
            return next_stage(STAGES[following] or "", 60, {"claim": task.claim})
        return {"claim": task.claim}


class DoomedWorker(BaseWorker):
    """Ends the whole process, each time."""

    types = {"doomed": {"type": "object"}}
    retry = RetryPolicy(max_attempts=3, first_seconds=0.05, factor=1)

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook

    async def execute_task(self, task: Task, context: TaskContext) -> Any:
        """Do it."""
        self._notebook.write(id=task.id, type=task.type, claim=task.claim)
        os.kill(os.getpid(), signal.SIGKILL)


def build_workers(settings: Settings) -> Sequence[BaseWorker]:
    """What the server asks for."""
    notebook = Notebook(settings.data_dir / "notebook.jsonl")
    return [RecordedWorker(notebook), DoomedWorker(notebook)]
