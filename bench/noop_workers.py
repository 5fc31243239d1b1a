"""The no-op worker of the task measurements; a server loads it with WORKER_MODULES."""

from collections.abc import Callable, Sequence
from typing import Any

from afterwrite.base.settings import Settings
from afterwrite.tasks.task import Task
from afterwrite.tasks.worker import BaseWorker, TaskContext

TASK_TYPE = "noop"
SIDE_BY_SIDE = 32


def nothing() -> None:
    """The handler of a no-op task."""


class NoopWorker(BaseWorker):
    """Calls a handler and does nothing else."""

    types = {TASK_TYPE: {"type": "object"}}
    concurrency = SIDE_BY_SIDE

    def __init__(self, handler: Callable[[], None] = nothing) -> None:
        self._handler = handler

    async def execute_task(self, task: Task, context: TaskContext) -> Any:
        """Call the handler."""
        self._handler()


def build_workers(settings: Settings) -> Sequence[BaseWorker]:
    """The entry point of WORKER_MODULES."""
    return [NoopWorker()]
