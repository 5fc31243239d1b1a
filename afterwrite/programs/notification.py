"""The notification service: records the results of runs from RabbitMQ, and calls the submitters of jobs."""

import argparse
import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from afterwrite.base.counts import counted
from afterwrite.base.settings import Settings, SettingsError
from afterwrite.base.store_errors import StoreError
from afterwrite.base.tracing import working_on
from afterwrite.jobs.broker import RABBITMQ, RESULTS, Broker, Delivery, pauses
from afterwrite.jobs.callbacks import REDIS, Callbacks
from afterwrite.jobs.errors import ServiceAway
from afterwrite.jobs.figures import message_figures
from afterwrite.jobs.messages import BadMessage, Result, trace_in
from afterwrite.programs.running import run_until_signal
from afterwrite.programs.worker import WorkerProcess
from afterwrite.storage.postgres.address import address_of
from afterwrite.storage.postgres.job_runs import TASK_ENDED, JobRuns, RunOutcome
from afterwrite.tasks.task import Completed, Failed, Task, TaskError, concluded
from afterwrite.tasks.workers.process_on_airflow import is_run_of, outcome_of
from afterwrite.tasks.workers.process_products import COMPLETED, PROCESS_PRODUCTS
from afterwrite.tasks.workers.webhook_delivery import TYPE as WEBHOOK_DELIVERY

_log = logging.getLogger("afterwrite.notification")

_AT_ONCE = 256  # messages recorded in one transaction, at most
_WorkOut = Callable[[Task, int], Task | None]


class Notification:
    """Consumes ``airflow.results``: opened by the constructor, running between ``start`` and ``stop``.

    Messages are acknowledged once their results are in the database, together with the tasks that deliver them, which
    also run here. A duplicate or late message changes nothing.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises StoreError or SettingsError, with one line that says what to do."""
        if settings.process_engine != "airflow":
            raise SettingsError(
                f"PROCESS_ENGINE is {settings.process_engine!r}: this service needs PROCESS_ENGINE=airflow"
            )
        self._workers = WorkerProcess(
            settings, [WEBHOOK_DELIVERY], None, role="notification", stack_parts=(RABBITMQ, REDIS)
        )
        self._broker, self._callbacks = Broker(settings), Callbacks(settings)
        self._runs = JobRuns(address_of(settings))
        self._max_bytes = settings.task_payload_max_bytes
        self._figures = message_figures()
        self._workers.metrics.watch_more(self._figures)
        self._workers.troubles.append(lambda: self._broker.trouble)
        self._taken: list[Delivery] = []
        self._has_taken = asyncio.Event()
        self._jobs: list[Future[None]] = []

    def start(self) -> None:
        self._workers.start()
        keep = self._workers.background.keep
        self._jobs = [
            keep("Recording results", self._record_all()),
            keep("Taking results", self._broker.consume(RESULTS, 2 * _AT_ONCE, self._take)),
        ]
        _log.info("taking results from %s", self._broker)

    def stop(self) -> None:
        """Stop consuming and let deliveries finish; unacknowledged messages go back into the queue."""
        self._workers.background.announce_stop()
        for job in self._jobs:
            job.cancel()
        self._workers.background.finish(self._close())
        self._runs.close()
        self._workers.stop()

    async def _take(self, delivery: Delivery) -> None:
        self._taken.append(delivery)
        self._has_taken.set()

    async def _record_all(self) -> None:
        """Record consumed messages, in batches as large as what has arrived."""
        while True:
            await self._has_taken.wait()
            batch, self._taken = self._taken[:_AT_ONCE], self._taken[_AT_ONCE:]
            if not self._taken:
                self._has_taken.clear()
            try:
                read = [(delivery, result) for delivery in batch if (result := await self._read(delivery))]
                if read:
                    await self._record(read)
            except Exception:  # noqa: BLE001 - unacknowledged messages are redelivered
                _log.exception(
                    "failed to handle %s; unacknowledged ones are redelivered", counted(len(batch), "result")
                )

    async def _read(self, delivery: Delivery) -> Result | None:
        try:
            return Result.read(delivery.body)
        except BadMessage as error:
            await self._give_up(delivery, str(error))
            return None

    async def _record(self, batch: Sequence[tuple[Delivery, Result]]) -> None:
        """Record results and acknowledge their messages, retrying while the database is unavailable."""
        for pause in pauses():
            try:
                ended = await self._conclude([result for _, result in batch])
                break
            except StoreError as error:
                _log.warning("cannot record %s yet, retrying: %s", counted(len(batch), "result"), error)
            except Exception as error:  # noqa: BLE001 - handled per message below
                _log.exception("cannot record %s", counted(len(batch), "result"))
                if len(batch) == 1:
                    await self._give_up(batch[0][0], f"Recording it failed: {type(error).__name__}: {error}")
                    return
                for one in batch:  # so that one bad result does not block the others
                    await self._record([one])
                return
            await asyncio.sleep(pause)
        for delivery, result in batch:
            await delivery.ack()
            self._log_recorded(delivery, result, ended.get(result.task_id))

    async def _conclude(self, results: Sequence[Result]) -> Mapping[int, Task]:
        """Record results on the tasks that wait for them; return the tasks that ended."""
        run_ids = list({result.run_id for result in results})
        found, urls = await asyncio.gather(asyncio.to_thread(self._runs.outcomes, run_ids), self._urls(run_ids))
        by_task: dict[int, list[Result]] = defaultdict(list)
        for result in results:
            by_task[result.task_id].append(result)
        work = {task_id: self._work_out(of_task, found, urls) for task_id, of_task in by_task.items()}
        ended = await asyncio.to_thread(self._workers.store.conclude, work)
        return {task.id: task for task in ended}

    def _work_out(
        self, results: Sequence[Result], found: Mapping[str, RunOutcome], urls: Mapping[str, str]
    ) -> _WorkOut:
        """Return the function that ends a task with one of the results, if it waits for it."""

        def work_out(task: Task, now_us: int) -> Task | None:
            run = next((result for result in results if is_run_of(task, result.run_id)), None)
            if run is None or task.has_ended or task.type != PROCESS_PRODUCTS:
                return None
            left = found.get(run.run_id)
            if (
                left is not None and left.error_code == TASK_ENDED
            ):  # the task was retried since: another run is requested
                return None
            outcome = self._outcome(run, left)
            stage = COMPLETED if isinstance(outcome, Completed) else None
            ended = concluded(task, outcome, now_us, stage)
            return ended._replace(callback_url=urls.get(run.run_id, task.callback_url))

        return work_out

    def _outcome(self, result: Result, found: RunOutcome | None) -> Completed | Failed:
        if found is not None:
            return outcome_of(found, self._max_bytes)
        code, message = result.error or (
            "RUN_FAILED",
            f"The run {result.run_id} reported {result.outcome} but left nothing in the database: retry the task",
        )
        return Failed(TaskError(code, message, final=True), None)

    async def _urls(self, run_ids: Sequence[str]) -> Mapping[str, str]:
        """The callback URLs in Redis; the others are in the rows of the tasks."""
        try:
            return await self._callbacks.find(run_ids)
        except ServiceAway:  # already logged
            return {}

    def _log_recorded(self, delivery: Delivery, result: Result, ended: Task | None) -> None:
        with working_on(result.correlation_id, trace_in(delivery.headers)):
            if ended is None:
                _log.info("dropped the result of the run %s: no task waits for it", result.run_id)
                self._figures.labels(RESULTS, "dropped").inc()
            else:
                _log.info("task %d ended as %s with the run %s", ended.id, ended.status, result.run_id)
                self._figures.labels(RESULTS, "recorded").inc()

    async def _give_up(self, delivery: Delivery, reason: str) -> None:
        await delivery.dead_letter(reason)
        self._figures.labels(RESULTS, "dead").inc()

    async def _close(self) -> None:
        await self._broker.close()
        await self._callbacks.close()


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    argparse.ArgumentParser(prog="afterwrite notification", description=__doc__).parse_args(arguments)
    return run_until_signal(Notification)
