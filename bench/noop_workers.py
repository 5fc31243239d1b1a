"""The worker of the task measurements, which does nothing; a server is given it by WORKER_MODULES."""

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
    """Calls a handler, and has nothing else to do."""

    types = {TASK_TYPE: {"type": "object"}}
    concurrency = SIDE_BY_SIDE

    def __init__(self, handler: Callable[[], None] = nothing) -> None:
        self._handler = handler

    async def execute_task(self, task: Task, context: TaskContext) -> Any:
        """Call the handler."""
        self._handler()


def build_workers(settings: Settings) -> Sequence[BaseWorker]:
    """What the server asks for."""
    return [NoopWorker()]
