"""The program that takes the results of runs from RabbitMQ, records them, and calls who submitted the jobs."""

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
from afterwrite.jobs.figures import MessageFigures
from afterwrite.jobs.messages import BadMessage, Result, trace_in
from afterwrite.programs.running import run_until_told
from afterwrite.programs.worker import WorkerProcess
from afterwrite.storage.postgres.address import address_of
from afterwrite.storage.postgres.job_runs import TASK_ENDED, JobRuns, RunOutcome
from afterwrite.tasks.task import Completed, Failed, Task, TaskError, concluded
from afterwrite.tasks.workers.process_on_airflow import is_run_of, outcome_of
from afterwrite.tasks.workers.process_products import COMPLETED, PROCESS_PRODUCTS
from afterwrite.tasks.workers.webhook_delivery import TYPE as WEBHOOK_DELIVERY

_log = logging.getLogger("afterwrite.notification")

_AT_ONCE = 256  # messages that are recorded in one transaction at the most
_WorkOut = Callable[[Task, int], Task | None]


class Notification:
    """Takes from ``airflow.results``: opened by the constructor, at work between ``start`` and ``stop``.

    Messages are acknowledged when what they tell is in the database, together with the task that delivers it; such
    tasks are run here too. A message that comes twice, or too late, changes nothing.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises StoreError or SettingsError with one line that says what to do."""
        if settings.process_engine != "airflow":
            raise SettingsError(
                f"PROCESS_ENGINE is {settings.process_engine!r}: results come from Airflow only where it is airflow"
            )
        self._workers = WorkerProcess(
            settings, [WEBHOOK_DELIVERY], None, role="notification", stack_parts=(RABBITMQ, REDIS)
        )
        self._broker, self._callbacks = Broker(settings), Callbacks(settings)
        self._runs = JobRuns(address_of(settings))
        self._max_bytes = settings.task_payload_max_bytes
        self._figures = MessageFigures()
        self._workers.metrics.watch_more(self._figures)
        self._workers.troubles.append(lambda: self._broker.trouble)
        self._taken: list[Delivery] = []
        self._has_taken = asyncio.Event()
        self._jobs: list[Future[None]] = []

    def start(self) -> None:
        """Take messages, and run deliveries, from now on."""
        self._workers.start()
        keep = self._workers.background.keep
        self._jobs = [
            keep("Recording results", self._record_all()),
            keep("Taking results", self._broker.consume(RESULTS, 2 * _AT_ONCE, self._take)),
        ]
        _log.info("taking results from %s", self._broker)

    def stop(self) -> None:
        """Take no more, let deliveries end; what is not acknowledged goes back into the queue."""
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
        """Record what was taken, as much at a time as there is."""
        while True:
            await self._has_taken.wait()
            batch, self._taken = self._taken[:_AT_ONCE], self._taken[_AT_ONCE:]
            if not self._taken:
                self._has_taken.clear()
            try:
                read = [(delivery, result) for delivery in batch if (result := await self._read(delivery))]
                if read:
                    await self._record(read)
            except Exception:  # noqa: BLE001 - what is not acknowledged comes again with the next connection
                _log.exception("cannot deal with %s", counted(len(batch), "result"))

    async def _read(self, delivery: Delivery) -> Result | None:
        try:
            return Result.read(delivery.body)
        except BadMessage as error:
            await self._give_up(delivery, str(error))
            return None

    async def _record(self, batch: Sequence[tuple[Delivery, Result]]) -> None:
        """Record results and acknowledge their messages, however long the database is away."""
        for pause in pauses():
            try:
                ended = await self._conclude([result for _, result in batch])
                break
            except StoreError as error:
                _log.warning("%s waiting: %s", counted(len(batch), "result"), error)
            except Exception as error:  # noqa: BLE001 - the one place where its failures are met
                _log.exception("cannot record %s", counted(len(batch), "result"))
                if len(batch) == 1:
                    await self._give_up(
                        batch[0][0], f"It cannot be recorded: {type(error).__name__}: {error}"
                    )
                    return
                for one in batch:  # so that one of them does not hold up the others
                    await self._record([one])
                return
            await asyncio.sleep(pause)
        for delivery, result in batch:
            await delivery.ack()
            self._tell(delivery, result, ended.get(result.task_id))

    async def _conclude(self, results: Sequence[Result]) -> Mapping[int, Task]:
        """Record results on the tasks that wait for them; returns the tasks that have ended by that."""
        run_ids = list({result.run_id for result in results})
        found, urls = await asyncio.gather(
            asyncio.to_thread(self._runs.outcomes, run_ids), self._urls(run_ids)
        )
        by_task: dict[int, list[Result]] = defaultdict(list)
        for result in results:
            by_task[result.task_id].append(result)
        work = {task_id: self._work_out(told, found, urls) for task_id, told in by_task.items()}
        ended = await asyncio.to_thread(self._workers.store.conclude, work)
        return {task.id: task for task in ended}

    def _work_out(
        self, results: Sequence[Result], found: Mapping[str, RunOutcome], urls: Mapping[str, str]
    ) -> _WorkOut:
        """How a task ends by one of the results, if it waits for it."""

        def work_out(task: Task, now_us: int) -> Task | None:
            run = next((result for result in results if is_run_of(task, result.run_id)), None)
            if run is None or task.has_ended or task.type != PROCESS_PRODUCTS:
                return None
            left = found.get(run.run_id)
            if (
                left is not None and left.error_code == TASK_ENDED
            ):  # it was tried again since: another run is asked for
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
            f"The run {result.run_id} says that it is {result.outcome}, and left nothing in the database",
        )
        return Failed(TaskError(code, message, final=True), None)

    async def _urls(self, run_ids: Sequence[str]) -> Mapping[str, str]:
        """The callback URLs that Redis has; the others are in the rows of the tasks."""
        try:
            return await self._callbacks.find(run_ids)
        except ServiceAway:  # it has said so
            return {}

    def _tell(self, delivery: Delivery, result: Result, ended: Task | None) -> None:
        with working_on(result.correlation_id, trace_in(delivery.headers)):
            if ended is None:
                _log.info("the result of %s is of no use any more: nobody waits for it", result.run_id)
                self._figures.count(RESULTS, "dropped")
            else:
                _log.info("task %d has ended as %s by the run %s", ended.id, ended.status, result.run_id)
                self._figures.count(RESULTS, "recorded")

    async def _give_up(self, delivery: Delivery, reason: str) -> None:
        await delivery.dead_letter(reason)
        self._figures.count(RESULTS, "dead")

    async def _close(self) -> None:
        await self._broker.close()
        await self._callbacks.close()


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    argparse.ArgumentParser(prog="afterwrite notification", description=__doc__).parse_args(arguments)
    return run_until_told(Notification)
