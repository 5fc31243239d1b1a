"""The program that takes requests for runs from RabbitMQ and has Airflow begin them; it keeps nothing of its own."""

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
from afterwrite.jobs.figures import MessageFigures
from afterwrite.jobs.messages import FAILED, BadMessage, Request, Result, headers_of, trace_in
from afterwrite.jobs.overview import StackOverview
from afterwrite.programs.running import run_until_told
from afterwrite.service.health_server import HealthServer

if TYPE_CHECKING:
    from afterwrite.storage.postgres.presence import OwnPresence

_log = logging.getLogger("afterwrite.consumer")

_AT_ONCE = 64  # messages that are dealt with side by side


class Consumer:
    """Takes from ``airflow.requests``: opened by the constructor, at work between ``start`` and ``stop``.

    A message is acknowledged when Airflow has its run; the run's id makes a message that comes twice one run. While
    Airflow is away messages are held, and asked for again after growing pauses.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError with one line that says what to do."""
        self._background = BackgroundLoop()
        self._broker, self._airflow = Broker(settings), Airflow(settings)
        self._overview = StackOverview(settings, self._background, (RABBITMQ, AIRFLOW))
        self._figures = MessageFigures()
        self._health: HealthServer | None = None
        if settings.metrics_port:
            registry = CollectorRegistry()
            registry.register(self._overview)
            registry.register(self._figures)
            self._health = HealthServer(settings, self._background, self._told, registry)
        self._presence = _presence_of(settings)
        self._in_hand = 0
        self._jobs: list[Future[None]] = []

    def start(self) -> None:
        """Take messages from now on."""
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
        """Take no more; what is not acknowledged goes back into the queue."""
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
            self._figures.count(REQUESTS, "dead")
            return
        trace = next_hop(trace_in(delivery.headers) or new_trace())
        self._in_hand += 1
        try:
            with working_on(request.correlation_id, trace):
                await self._begin(request, trace, delivery)
        finally:
            self._in_hand -= 1

    async def _begin(self, request: Request, trace: str, delivery: Delivery) -> None:
        """Have Airflow begin the run, however long that takes, unless the message goes to somebody else."""
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
                    "the run %s waits: %s",
                    request.run_id,
                    error,
                )
            if delivery.is_gone:
                return
            await asyncio.sleep(pause)
        await delivery.ack()
        _log.info("the run %s %s", request.run_id, "has begun" if is_new else "was there already")
        self._figures.count(REQUESTS, "begun" if is_new else "known")

    async def _refuse(self, request: Request, trace: str, delivery: Delivery, why: str) -> None:
        """End the job, which would wait for ever, and keep the message for those who look."""
        told = Result(
            request.correlation_id, request.task_id, request.run_id, FAILED, ("RUN_REFUSED", why[:1_000])
        )
        if await delivery.publish(RESULTS, told.encode(), headers_of(request.correlation_id, trace)):
            await delivery.dead_letter(why)
            self._figures.count(REQUESTS, "refused")

    def _told(self) -> Mapping[str, object]:
        is_well = self._overview.is_well and self._broker.trouble is None
        status = "ok" if is_well else "degraded"
        return {"status": status, "stack": self._overview.statuses()}

    async def _close(self) -> None:
        await self._broker.close()
        await self._airflow.close()


def _presence_of(settings: Settings) -> "OwnPresence | None":
    """What lists this process among the others; None where it is not told of their database, which it does not need."""
    if not settings.database_url:
        return None
    from afterwrite.storage.postgres.presence import OwnPresence

    return OwnPresence(settings, "consumer")


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    argparse.ArgumentParser(prog="afterwrite consumer", description=__doc__).parse_args(arguments)
    return run_until_told(Consumer)
