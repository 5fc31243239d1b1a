"""Looks at RabbitMQ, Redis and Airflow for those who ask how they are; what it has seen last is what it tells."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from background import BackgroundLoop
from settings import Settings
from stack.airflow import AIRFLOW, Airflow, Run, TaskState
from stack.broker import RABBITMQ, Broker
from stack.callbacks import REDIS, Callbacks
from stack.errors import ServiceAway

_log = logging.getLogger("afterwrite.stack")

PARTS = (RABBITMQ, REDIS, AIRFLOW)
_EVERY_SECONDS = 5.0
_LONGEST_LOOK_SECONDS = 3.0
_RUN_SECONDS, _RUNS_KEPT = 1.0, 200


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A run as it was a moment ago; ``trouble``: why Airflow could not be asked."""

    run: Run | None
    tasks: Sequence[TaskState]
    trouble: str | None


class StackOverview(Collector):
    """The services of the stack as one process sees them; may be asked from any thread between start and stop."""

    def __init__(
        self, settings: Settings, background: BackgroundLoop, parts: Collection[str] = PARTS
    ) -> None:
        """``parts`` are the services that the process uses. Raises SettingsError for an address that is none."""
        self._background = background
        self._broker, self._callbacks = Broker(settings), Callbacks(settings)
        self._airflow = Airflow(settings, timeout_seconds=_LONGEST_LOOK_SECONDS)
        checks: Mapping[str, Callable[[], Awaitable[None]]] = {
            RABBITMQ: self._broker.check,
            REDIS: self._callbacks.check,
            AIRFLOW: self._airflow.check,
        }
        self._checks = {name: checks[name] for name in parts}
        self._troubles: dict[str, str | None] = dict.fromkeys(parts)
        self._runs: dict[str, tuple[float, SeenRun]] = {}
        self._watching: Future[None] | None = None

    def start(self) -> None:
        """Look from now on; the first look is over when this returns."""
        self._background.submit(self._look()).result()
        self._watching = self._background.submit(self._watch())

    def stop(self) -> None:
        """Look no more; may be called twice."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
            self._background.submit(self._close()).result()

    @property
    def is_well(self) -> bool:
        """Whether every part could be used a moment ago."""
        return not any(self._troubles.values())

    def parts(self) -> Mapping[str, Mapping[str, str | None]]:
        """How each part was a moment ago: ``status`` is ``ok`` or ``away``, ``trouble`` says why."""
        return {
            name: {"status": "ok" if trouble is None else "away", "trouble": trouble}
            for name, trouble in dict(self._troubles).items()
        }

    def statuses(self) -> Mapping[str, Mapping[str, str | None]]:
        """The same without the troubles, which name addresses."""
        return {name: {"status": part["status"]} for name, part in self.parts().items()}

    def run(self, run_id: str) -> SeenRun:
        """A run of the DAG as it was a second ago at the most."""
        known = self._runs.get(run_id)
        if known is not None and time.monotonic() - known[0] < _RUN_SECONDS:
            return known[1]
        seen = self._background.submit(self._see(run_id)).result()
        while len(self._runs) >= _RUNS_KEPT:
            self._runs.pop(next(iter(self._runs)), None)
        self._runs[run_id] = (time.monotonic(), seen)
        return seen

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not need a look."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Whether each part can be used, for Prometheus."""
        up = GaugeMetricFamily(
            "afterwrite_stack_up",
            "Whether a service of the stack could be used a moment ago",
            labels=["part"],
        )
        for name, trouble in dict(self._troubles).items():
            up.add_metric([name], float(trouble is None))
        yield up

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self._look()

    async def _look(self) -> None:
        names = list(self._checks)
        for name, trouble in zip(names, await asyncio.gather(*map(self._trouble, names)), strict=True):
            if trouble is None and self._troubles[name] is not None:
                _log.info("%s can be used again", name)
            elif trouble is not None and self._troubles[name] is None:
                _log.warning("%s", trouble)
            self._troubles[name] = trouble

    async def _trouble(self, name: str) -> str | None:
        try:
            async with asyncio.timeout(_LONGEST_LOOK_SECONDS):
                await self._checks[name]()
        except TimeoutError:
            return f"{name} did not answer in {_LONGEST_LOOK_SECONDS:g} s"
        except ServiceAway as error:
            return str(error)
        return None

    async def _see(self, run_id: str) -> SeenRun:
        try:
            async with asyncio.timeout(_LONGEST_LOOK_SECONDS):
                run, tasks = await asyncio.gather(
                    self._airflow.run(run_id), self._airflow.task_states(run_id)
                )
        except TimeoutError:
            return SeenRun(None, [], f"Airflow did not answer in {_LONGEST_LOOK_SECONDS:g} s")
        except ServiceAway as error:
            return SeenRun(None, [], str(error))
        return SeenRun(run, tasks, None)

    async def _close(self) -> None:
        await self._broker.close()
        await self._callbacks.close()
        await self._airflow.close()
