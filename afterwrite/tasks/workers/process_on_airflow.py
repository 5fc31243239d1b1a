"""The worker that runs the product pipeline on Airflow: publishes a run request, then polls for its result.

The task's row is the outbox. PUBLISHING ends when RabbitMQ confirms the request; after a crash before that, the request
is published again under the same run id, which Airflow runs once. The notification service (``notification.py``)
records the result. Meanwhile the task waits as PUBLISHED or RUNNING and polls with exponential backoff: it republishes
a lost request, and reads the outcome of a run whose result message was lost from the database. So every job ends,
whatever message is lost.
"""

import asyncio
import json
import logging
import re
import time
from typing import Any

from afterwrite.base.store_errors import StoreError
from afterwrite.base.tracing import new_trace, next_hop
from afterwrite.jobs.airflow import Airflow
from afterwrite.jobs.broker import REQUESTS, Broker, pauses
from afterwrite.jobs.callbacks import Callbacks
from afterwrite.jobs.errors import QueueFull, ServiceAway
from afterwrite.jobs.messages import Request, headers_of
from afterwrite.storage.postgres.job_runs import TASK_ENDED, JobRuns, RunOutcome
from afterwrite.tasks.retry import RetryPolicy
from afterwrite.tasks.task import Completed, Failed, StageDone, Task, TaskError
from afterwrite.tasks.worker import BaseWorker, TaskContext, TaskFailed, next_stage
from afterwrite.tasks.workers.process_products import COMPLETED, PROCESS_PRODUCTS, payload_of

_log = logging.getLogger("afterwrite.stack")

PRODUCTS_MAX = 1_000_000  # in effect limited by TASK_PAYLOAD_MAX_BYTES
PUBLISHING, PUBLISHED, RUNNING = "PUBLISHING", "PUBLISHED", "RUNNING"
# The stages in order, each with the progress of a task that has reached it.
PROGRESS = {PUBLISHING: 0, PUBLISHED: 10, RUNNING: 50}
_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 10.0, 600.0
# A request may wait long in its queue while the consumer is down; only after this does it count as lost.
_LOST_AFTER_SECONDS, _LONGEST_LOST_SECONDS = 600.0, 6 * 3600.0
_AGAIN = "-again"  # suffix of the run that replaces one that found its task cancelled
_RUN_ID = re.compile(r"[A-Za-z0-9_.~:+-]{1,200}")


def run_id_of(task: Task) -> str:
    """The ``dag_run_id`` of a task's run: its correlation id, numbered after retries of a final error."""
    name = task.correlation_id or ""
    return _numbered(name if _RUN_ID.fullmatch(name) else f"task-{task.id}", task)


def is_run_of(task: Task, run_id: str) -> bool:
    """Whether a run belongs to this attempt of the task."""
    names = (run_id_of(task), _own_run_id(task))
    while run_id not in names and run_id.endswith(_AGAIN):  # a correlation id may end with it too
        run_id = run_id.removesuffix(_AGAIN)
    return run_id in names


def outcome_of(found: RunOutcome, max_bytes: int) -> Completed | Failed:
    """Convert the outcome of a run into that of its task."""
    if found.report_json is None:
        error = TaskError(found.error_code or "RUN_FAILED", found.error_message or "", final=True)
        return Failed(error, None)
    size = len(found.report_json)
    if size > max_bytes:
        message = (
            f"The run's report has {size:,} bytes: the limit is {max_bytes:,}. Give the DAG the same "
            "TASK_PAYLOAD_MAX_BYTES"
        )
        return Failed(TaskError("RESULT_TOO_LARGE", message, final=True), None)
    return Completed(found.report_json)


class ProcessOnAirflowWorker(BaseWorker):
    """Processes a list of products in a run of the DAG ``process_products``; same result as the built-in worker."""

    types = {PROCESS_PRODUCTS: payload_of(PRODUCTS_MAX)}
    concurrency = 64  # it mostly waits for RabbitMQ
    retry = RetryPolicy(max_attempts=20, first_seconds=1, longest_seconds=60)

    def __init__(
        self, broker: Broker, callbacks: Callbacks, airflow: Airflow, runs: JobRuns, result_max_bytes: int
    ) -> None:
        self._broker, self._callbacks, self._airflow, self._runs = broker, callbacks, airflow, runs
        self._max_bytes = result_max_bytes

    def first_stage(self, task_type: str) -> str:
        return PUBLISHING

    async def execute_task(self, task: Task, context: TaskContext) -> Any:
        """Run one stage. Raises TaskFailed when the run failed."""
        left = task.result if task.stage in (PUBLISHED, RUNNING) else None
        if left is None or not is_run_of(task, left["runId"]):  # from an earlier attempt
            return await self._publish(task, context, run_id_of(task))
        try:
            return await self._follow(task, context, left)
        except StoreError as error:  # the run continues, so do not spend an attempt
            _log.warning("cannot check the run %s, retrying: %s", left["runId"], error)
            return next_stage(task.stage or PUBLISHED, task.progress, left, delay_seconds=_FIRST_POLL_SECONDS)

    async def close(self) -> None:
        await self._broker.close()
        await self._callbacks.close()
        await self._airflow.close()
        await asyncio.to_thread(self._runs.close)

    async def _publish(self, task: Task, context: TaskContext, name: str) -> StageDone:
        run_id = await context.in_thread(self._take_run, task, name)
        await self._keep_callback(run_id, task)
        await self._send(run_id, task, context)
        _log.info("published task %d as the run %s", task.id, run_id)
        left = {"runId": run_id, "publishedAt": time.time(), "timesPublished": 1, "looks": 0}
        return next_stage(PUBLISHED, PROGRESS[PUBLISHED], left, delay_seconds=_FIRST_POLL_SECONDS)

    def _take_run(self, task: Task, run_id: str) -> str:
        if not self._runs.take(run_id, task.id):  # another task has the same correlation id
            run_id = _own_run_id(task)
            self._runs.take(run_id, task.id)
        return run_id

    async def _keep_callback(self, run_id: str, task: Task) -> None:
        if task.callback_url is None:
            return
        try:
            await self._callbacks.keep(run_id, task.callback_url)
        except ServiceAway:  # already logged; the task's row has the URL too, so the job need not wait
            return

    async def _send(self, run_id: str, task: Task, context: TaskContext) -> None:
        """Publish the request; retry while RabbitMQ is unavailable or its queue is full."""
        name = task.correlation_id or run_id
        headers = headers_of(name, next_hop(task.traceparent or new_trace()))
        request = Request(name, task.id, run_id)
        for pause in pauses():
            try:
                await self._broker.publish(REQUESTS, request.encode(), headers)
            except (ServiceAway, QueueFull) as error:
                _log.warning("cannot publish task %d yet, retrying: %s", task.id, error)
                await context.sleep(pause)
            else:
                return

    async def _follow(self, task: Task, context: TaskContext, left: dict[str, Any]) -> Any:
        run_id = left["runId"]
        found = await context.in_thread(self._runs.outcomes, [run_id])
        if run_id in found and found[run_id].error_code == TASK_ENDED:  # and the task was retried since
            return await self._publish(task, context, run_id + _AGAIN)
        if run_id in found:  # the result message is on its way or lost; it says the same
            return await self._end(task, context, found[run_id])
        left = left | {"looks": left["looks"] + 1}
        pause = min(_doubled(_FIRST_POLL_SECONDS, left["looks"]), _LONGEST_POLL_SECONDS)
        try:
            run = await self._airflow.run(run_id)
        except ServiceAway as error:
            _log.warning("cannot check the run %s, retrying: %s", run_id, error)
            return next_stage(task.stage or PUBLISHED, task.progress, left, delay_seconds=pause)
        if run is None:
            left = await self._publish_if_lost(task, context, left)
            return next_stage(PUBLISHED, PROGRESS[PUBLISHED], left, delay_seconds=pause)
        if not run.has_ended:
            return next_stage(RUNNING, PROGRESS[RUNNING], left, delay_seconds=pause)
        found = await context.in_thread(self._runs.outcomes, [run_id])  # it may have been recorded meanwhile
        if run_id in found:
            return await self._end(task, context, found[run_id])
        raise TaskFailed(
            "RUN_FAILED",
            f"Airflow's run {run_id} ended as {run.state} without an outcome: see its log, then retry the task",
            final=True,
        )

    async def _publish_if_lost(self, task: Task, context: TaskContext, left: dict[str, Any]) -> dict[str, Any]:
        waits = min(_doubled(_LOST_AFTER_SECONDS, left["timesPublished"] - 1), _LONGEST_LOST_SECONDS)
        if time.time() - left["publishedAt"] < waits:
            return left
        await self._send(left["runId"], task, context)
        _log.warning("published the run %s again: Airflow does not know it", left["runId"])
        return left | {"publishedAt": time.time(), "timesPublished": left["timesPublished"] + 1}

    async def _end(self, task: Task, context: TaskContext, found: RunOutcome) -> Any:
        outcome = outcome_of(found, self._max_bytes)
        if isinstance(outcome, Failed):
            raise TaskFailed(outcome.error.code, outcome.error.message, final=outcome.error.final)
        await context.progress(100, COMPLETED)
        return json.loads(outcome.result_json or "null")


def _doubled(seconds: float, times: int) -> float:
    return float(seconds * 2 ** min(times, 10))  # capped, for a job may wait for months


def _numbered(name: str, task: Task) -> str:
    return name if not task.renewals else f"{name}-{task.renewals + 1}"


def _own_run_id(task: Task) -> str:
    return _numbered(f"{run_id_of(task._replace(renewals=0))}-task-{task.id}", task)
