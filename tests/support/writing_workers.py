"""Workers that write products through async_db, named by WORKER_MODULES."""

from collections.abc import Sequence

import async_db
from afterwrite import BaseWorker, Settings, Task, TaskContext
from product_types import Product

FIELDS = {"type": "object", "required": ["title", "price"]}


class ArrivalWorker(BaseWorker):
    """Creates a product, or with ``wait`` waits until it is applied."""

    types = {"arrival": FIELDS}

    async def execute_task(self, task: Task, context: TaskContext) -> dict[str, str]:
        """Write through the process of the worker."""
        fields = {name: value for name, value in task.payload.items() if name != "wait"}
        create = async_db.create_sync if task.payload.get("wait") else async_db.fire_and_forget_create
        write = await context.in_thread(lambda: create(Product, fields, idempotency_key=context.key()))
        found = await context.in_thread(async_db.get, Product, write.record_id)
        return {"write": str(write.id), "status": write.status, "found": found.title if found else ""}


def build_workers(settings: Settings) -> Sequence[BaseWorker]:
    """What WORKER_MODULES asks for."""
    return [ArrivalWorker()]
