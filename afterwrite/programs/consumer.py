"""The consumer: takes requests for runs from RabbitMQ and starts them in Airflow; it is stateless."""

import argparse
import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.settings import Settings
from afterwrite.base.tracing import HEADER, new_trace, next_hop, working_on
from afterwrite.jobs.airflow import AIRFLOW, Airflow
from afterwrite.jobs.broker import RABBITMQ, REQUESTS, RESULTS, Broker, Delivery, pauses
from afterwrite.jobs.errors import RunRefused, ServiceAway
from afterwrite.jobs.figures import message_figures
from afterwrite.jobs.messages import FAILED, BadMessage, Request, Result, headers_of, trace_in
from afterwrite.jobs.overview import StackOverview
from afterwrite.programs.running import run_until_signal
from afterwrite.service.health_server import HealthServer

if TYPE_CHECKING:
    from afterwrite.storage.postgres.presence import OwnPresence

_log = logging.getLogger("afterwrite.consumer")

_AT_ONCE = 64  # messages handled concurrently


class Consumer:
    """Consumes ``airflow.requests``: opened by the constructor, running between ``start`` and ``stop``.

    A message is acknowledged once Airflow has its run; the run id makes a redelivered message idempotent. While Airflow
    is unavailable, messages are held and retried with exponential backoff.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError, with one line that says what to do."""
        self._background = BackgroundLoop()
        self._broker, self._airflow = Broker(settings), Airflow(settings)
        self._overview = StackOverview(settings, self._background, (RABBITMQ, AIRFLOW))
        self._figures = message_figures()
        self._health: HealthServer | None = None
        if settings.metrics_port:
            registry = CollectorRegistry()
            registry.register(self._overview)
            registry.register(self._figures)
            self._health = HealthServer(settings, self._background, self._health_report, registry)
        self._presence = _presence_of(settings)
        self._in_hand = 0
        self._jobs: list[Future[None]] = []

    def start(self) -> None:
        self._background.start()
        self._overview.start()
        if self._health:
            self._health.start()
        consuming = self._broker.consume(REQUESTS, _AT_ONCE, self._take)
        self._jobs = [self._background.keep("Taking requests", consuming)]
        if self._presence is not None:
            self._presence.doing = lambda: {"requests": self._in_hand}
            self._jobs.append(self._background.keep("The heartbeat of this process", self._presence.beats()))
        _log.info("taking requests from %s", self._broker)

    def stop(self) -> None:
        """Stop consuming; unacknowledged messages go back into the queue."""
        self._background.announce_stop()
        if self._health:
            self._health.stop()
        for job in self._jobs:
            job.cancel()
        if self._presence is not None:
            self._presence.close()
        self._overview.stop()
        self._background.finish(self._close())
        self._background.stop()

    async def _take(self, delivery: Delivery) -> None:
        try:
            request = Request.read(delivery.body)
        except BadMessage as error:
            await delivery.dead_letter(str(error))
            self._figures.labels(REQUESTS, "dead").inc()
            return
        trace = next_hop(trace_in(delivery.headers) or new_trace())
        self._in_hand += 1
        try:
            with working_on(request.correlation_id, trace):
                await self._begin(request, trace, delivery)
        finally:
            self._in_hand -= 1

    async def _begin(self, request: Request, trace: str, delivery: Delivery) -> None:
        """Start the run in Airflow, retrying until it succeeds or the message is redelivered elsewhere."""
        conf = {"correlation_id": request.correlation_id, "task_id": str(request.task_id)}
        conf |= {"run_id": request.run_id, HEADER: trace}
        for number, pause in enumerate(pauses()):
            try:
                is_new = await self._airflow.start_run(request.run_id, conf, {HEADER: trace})
                break
            except RunRefused as error:
                await self._refuse(request, trace, delivery, str(error))
                return
            except ServiceAway as error:
                _log.log(
                    logging.DEBUG if number else logging.WARNING,
                    "cannot start the run %s yet, retrying: %s",
                    request.run_id,
                    error,
                )
            if delivery.is_gone:
                return
            await asyncio.sleep(pause)
        await delivery.ack()
        _log.info("%s the run %s", "started" if is_new else "Airflow already had", request.run_id)
        self._figures.labels(REQUESTS, "begun" if is_new else "known").inc()

    async def _refuse(self, request: Request, trace: str, delivery: Delivery, why: str) -> None:
        """Fail the job, which would otherwise wait for ever, and dead-letter the message for inspection."""
        result = Result(request.correlation_id, request.task_id, request.run_id, FAILED, ("RUN_REFUSED", why[:1_000]))
        if await delivery.publish(RESULTS, result.encode(), headers_of(request.correlation_id, trace)):
            await delivery.dead_letter(why)
            self._figures.labels(REQUESTS, "refused").inc()

    def _health_report(self) -> Mapping[str, object]:
        is_well = self._overview.is_well and self._broker.trouble is None
        status = "ok" if is_well else "degraded"
        return {"status": status, "stack": self._overview.statuses()}

    async def _close(self) -> None:
        await self._broker.close()
        await self._airflow.close()


def _presence_of(settings: Settings) -> "OwnPresence | None":
    """The presence in the list of processes; None without DATABASE_URL, which the consumer does not otherwise need."""
    if not settings.database_url:
        return None
    from afterwrite.storage.postgres.presence import OwnPresence

    return OwnPresence(settings, "consumer")


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    argparse.ArgumentParser(prog="afterwrite consumer", description=__doc__).parse_args(arguments)
    return run_until_signal(Consumer)
