"""Runs tasks of the Stripe worker one by one in an event loop, without a server."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from stripe_fake import KEY

from afterwrite.tasks.task import Progress, Task
from afterwrite.tasks.worker import TaskContext, TaskFailed
from afterwrite.tasks.workers.stripe_payments import StripeWorker

CUSTOMER, PAYMENT, REFUND = "stripe_create_customer", "stripe_create_payment", "stripe_refund_payment"
DECLINED = "pm_card_chargeCustomerFail"
US = 1_000_000


def a_task(task_type: str, payload: Any, task_id: int = 1, **changes: Any) -> Task:
    """A task that was just claimed for the first time."""
    now = time.time_ns() // 1000
    nothing: dict[str, Any] = dict.fromkeys(Task._fields)
    numbers: dict[str, Any] = dict.fromkeys(
        ("progress", "error_is_final", "priority", "ready", "cancel_asked", "renewals"), 0
    )
    set_up = {"id": task_id, "type": task_type, "status": "PROCESSING", "payload_json": json.dumps(payload)}
    claimed = {"attempt": 1, "claim": 1, "max_attempts": 6, "locked_by": "a", "started_at_us": now, "run_at_us": now}
    return Task(**(nothing | numbers | set_up | claimed | changes))


class Run:
    """One worker over one loop; what its tasks reported is in ``reports``."""

    def __init__(self, worker: StripeWorker) -> None:
        self.worker = worker
        self.reports: list[Progress] = []
        self.contexts: list[TaskContext] = []

    async def execute(self, task: Task, store: str = "tests") -> Any:
        """Run a task as the manager would."""
        with ThreadPoolExecutor(1) as threads:
            self.contexts.append(TaskContext(task, store, threads, self._report))
            return await self.worker.execute_task(task, self.contexts[-1])

    async def _report(self, progress: Progress) -> None:
        self.reports.append(progress)


def in_loop(url: str, work: Callable[[Run], Awaitable[Any]], key: str = KEY, call_seconds: float = 20) -> Any:
    """What ``work`` returns for a worker that calls ``url``."""

    async def all_of_it() -> Any:
        worker = StripeWorker(key, url, call_seconds=call_seconds)
        try:
            return await work(Run(worker))
        finally:
            await worker.close()

    return asyncio.run(all_of_it())


def executed(url: str, *tasks: Task, **options: Any) -> list[Any]:
    """The results of tasks that run one after the other."""

    async def one_by_one(run: Run) -> list[Any]:
        return [await run.execute(task) for task in tasks]

    return list(in_loop(url, one_by_one, **options))


def failure(url: str, task: Task, **options: Any) -> TaskFailed:
    """The failure of a task that must fail."""
    with pytest.raises(TaskFailed) as caught:
        executed(url, task, **options)
    return caught.value


def payment(customer: str, task_id: int = 1, **more: Any) -> Task:
    """The task of a payment of 15.00."""
    return a_task(PAYMENT, {"amount": 1500, "currency": "EUR", "customer_id": customer} | more, task_id)
