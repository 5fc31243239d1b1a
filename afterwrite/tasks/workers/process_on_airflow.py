"""Has Airflow run the product pipeline: publishes a request for a run, then looks after it until its result is there.

The task's row is the outbox. PUBLISHING ends when RabbitMQ has confirmed the request; a crash before that is recorded
publishes it again, under the same run id, of which Airflow makes one run. The result comes by another way: the
notification service records it (``notification.py``). Meanwhile the task waits as PUBLISHED or RUNNING, and is looked
at after growing pauses: a request that was lost is published again, and a run that ended without a word is known by
what it left in the database. So every job ends, whatever is lost.
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

PRODUCTS_MAX = 1_000_000  # as many as TASK_PAYLOAD_MAX_BYTES lets through
PUBLISHING, PUBLISHED, RUNNING = "PUBLISHING", "PUBLISHED", "RUNNING"
# The stages in their order, each with the progress of a task that is at it.
PROGRESS = {PUBLISHING: 0, PUBLISHED: 10, RUNNING: 50}
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 10.0, 600.0
# A request may wait in its queue for long, while its consumer is away; it is taken for lost only after that.
_LOST_AFTER_SECONDS, _LONGEST_LOST_SECONDS = 600.0, 6 * 3600.0
_AGAIN = "-again"  # ends the name of a run in the place of one that found its task cancelled
_RUN_ID = re.compile(r"[A-Za-z0-9_.~:+-]{1,200}")


def run_id_of(task: Task) -> str:
    """The ``dag_run_id`` of a task's run: its correlation id, with a number after a final error was tried again."""
    name = task.correlation_id or ""
    return _numbered(name if _RUN_ID.fullmatch(name) else f"task-{task.id}", task)


def is_run_of(task: Task, run_id: str) -> bool:
    """Whether a run does what a task waits for, and is not of an earlier attempt or another task's."""
    names = (run_id_of(task), _own_run_id(task))
    while run_id not in names and run_id.endswith(_AGAIN):  # a correlation id may end so itself
        run_id = run_id.removesuffix(_AGAIN)
    return run_id in names


def outcome_of(found: RunOutcome, max_bytes: int) -> Completed | Failed:
    """What a run left, as the outcome of its task."""
    if found.report_json is None:
        error = TaskError(found.error_code or "RUN_FAILED", found.error_message or "", final=True)
        return Failed(error, None)
    size = len(found.report_json)
    if size > max_bytes:
        message = (
            f"The run's report has {size:,} bytes: {max_bytes:,} are the limit. Give the DAG the same "
            "TASK_PAYLOAD_MAX_BYTES"
        )
        return Failed(TaskError("RESULT_TOO_LARGE", message, final=True), None)
    return Completed(found.report_json)


class ProcessOnAirflowWorker(BaseWorker):
    """Brings a list of products through a run of the DAG ``process_products``; the result is as of the built-in one."""

    types = {PROCESS_PRODUCTS: payload_of(PRODUCTS_MAX)}
    concurrency = 64  # it waits for RabbitMQ
    retry = RetryPolicy(max_attempts=20, first_seconds=1, longest_seconds=60)

    def __init__(
        self,
        broker: Broker,
        callbacks: Callbacks,
        airflow: Airflow,
        runs: JobRuns,
        result_max_bytes: int,
    ) -> None:
        self._broker, self._callbacks, self._airflow, self._runs = broker, callbacks, airflow, runs
        self._max_bytes = result_max_bytes

    def first_stage(self, task_type: str) -> str:
        """PUBLISHING."""
        return PUBLISHING

    async def execute_task(self, task: Task, context: TaskContext) -> Any:
        """Do one stage. Raises TaskFailed when the run failed."""
        left = task.result if task.stage in (PUBLISHED, RUNNING) else None
        if left is None or not is_run_of(task, left["runId"]):  # that of an earlier attempt
            return await self._publish(task, context, run_id_of(task))
        try:
            return await self._look_after(task, context, left)
        except StoreError as error:  # the run goes on meanwhile, so no attempt is lost
            _log.warning("the run %s cannot be looked at: %s", left["runId"], error)
            return next_stage(task.stage or PUBLISHED, task.progress, left, delay_seconds=_FIRST_LOOK_SECONDS)

    async def close(self) -> None:
        """Close every connection."""
        await self._broker.close()
        await self._callbacks.close()
        await self._airflow.close()
        await asyncio.to_thread(self._runs.close)

    async def _publish(self, task: Task, context: TaskContext, name: str) -> StageDone:
        run_id = await context.in_thread(self._take_run, task, name)
        await self._keep_callback(run_id, task)
        await self._send(run_id, task, context)
        _log.info("task %d is published as the run %s", task.id, run_id)
        left = {"runId": run_id, "publishedAt": time.time(), "timesPublished": 1, "looks": 0}
        return next_stage(PUBLISHED, PROGRESS[PUBLISHED], left, delay_seconds=_FIRST_LOOK_SECONDS)

    def _take_run(self, task: Task, run_id: str) -> str:
        if not self._runs.take(run_id, task.id):  # another task was given the same correlation id
            run_id = _own_run_id(task)
            self._runs.take(run_id, task.id)
        return run_id

    async def _keep_callback(self, run_id: str, task: Task) -> None:
        if task.callback_url is None:
            return
        try:
            await self._callbacks.keep(run_id, task.callback_url)
        except ServiceAway:  # it has said so; the task's row has the URL too, so the job need not wait
            return

    async def _send(self, run_id: str, task: Task, context: TaskContext) -> None:
        """Publish the request; wait for as long as RabbitMQ is away, or takes no more."""
        name = task.correlation_id or run_id
        headers = headers_of(name, next_hop(task.traceparent or new_trace()))
        request = Request(name, task.id, run_id)
        for pause in pauses():
            try:
                await self._broker.publish(REQUESTS, request.encode(), headers)
            except (ServiceAway, QueueFull) as error:
                _log.warning("task %d waits to be published: %s", task.id, error)
                await context.sleep(pause)
            else:
                return

    async def _look_after(self, task: Task, context: TaskContext, left: dict[str, Any]) -> Any:
        run_id = left["runId"]
        found = await context.in_thread(self._runs.outcomes, [run_id])
        if run_id in found and found[run_id].error_code == TASK_ENDED:  # and was tried again since
            return await self._publish(task, context, run_id + _AGAIN)
        if run_id in found:  # its result is on its way, or was lost: it is the same
            return await self._end(task, context, found[run_id])
        left = left | {"looks": left["looks"] + 1}
        pause = min(_doubled(_FIRST_LOOK_SECONDS, left["looks"]), _LONGEST_LOOK_SECONDS)
        try:
            run = await self._airflow.run(run_id)
        except ServiceAway as error:
            _log.warning("the run %s cannot be looked at: %s", run_id, error)
            return next_stage(task.stage or PUBLISHED, task.progress, left, delay_seconds=pause)
        if run is None:
            left = await self._publish_if_lost(task, context, left)
            return next_stage(PUBLISHED, PROGRESS[PUBLISHED], left, delay_seconds=pause)
        if not run.has_ended:
            return next_stage(RUNNING, PROGRESS[RUNNING], left, delay_seconds=pause)
        found = await context.in_thread(self._runs.outcomes, [run_id])  # it may have ended meanwhile
        if run_id in found:
            return await self._end(task, context, found[run_id])
        raise TaskFailed(
            "RUN_FAILED",
            f"Airflow's run {run_id} ended as {run.state} and left no outcome: see it there, then try the task again",
            final=True,
        )

    async def _publish_if_lost(
        self, task: Task, context: TaskContext, left: dict[str, Any]
    ) -> dict[str, Any]:
        waits = min(_doubled(_LOST_AFTER_SECONDS, left["timesPublished"] - 1), _LONGEST_LOST_SECONDS)
        if time.time() - left["publishedAt"] < waits:
            return left
        await self._send(left["runId"], task, context)
        _log.warning("the run %s is published again: Airflow does not know it", left["runId"])
        return left | {"publishedAt": time.time(), "timesPublished": left["timesPublished"] + 1}

    async def _end(self, task: Task, context: TaskContext, found: RunOutcome) -> Any:
        outcome = outcome_of(found, self._max_bytes)
        if isinstance(outcome, Failed):
            raise TaskFailed(outcome.error.code, outcome.error.message, final=outcome.error.final)
        await context.progress(100, COMPLETED)
        return json.loads(outcome.result_json or "null")


def _doubled(seconds: float, times: int) -> float:
    return float(seconds * 2 ** min(times, 10))  # a job may wait for months


def _numbered(name: str, task: Task) -> str:
    return name if not task.renewals else f"{name}-{task.renewals + 1}"


def _own_run_id(task: Task) -> str:
    return _numbered(f"{run_id_of(task._replace(renewals=0))}-task-{task.id}", task)
