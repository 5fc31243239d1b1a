"""Workers, named by WORKER_MODULES, that end or block what works in the background of their process."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from afterwrite.base.settings import Settings
from afterwrite.tasks.task import Task
from afterwrite.tasks.worker import BaseWorker, TaskContext

BLOCKED_SECONDS = 300


class HarmfulWorker(BaseWorker):
    """Does to its process what a mistake in a worker, a library or in our own code could do."""

    types = {"harm": {"type": "object", "required": ["what"], "properties": {"what": {"type": "string"}}}}

    async def execute_task(self, task: Task, context: TaskContext) -> Any:
        """End the loop, block it, or cancel the coroutine of that name."""
        what = task.payload["what"]
        if what == "end the loop":
            asyncio.get_running_loop().stop()
        elif what == "block the loop":
            time.sleep(BLOCKED_SECONDS)
        else:
            for running in asyncio.all_tasks():
                if what in repr(running.get_coro()):
                    running.cancel()


def build_workers(settings: Settings) -> Sequence[BaseWorker]:
    """What the server asks for."""
    return [HarmfulWorker()]
