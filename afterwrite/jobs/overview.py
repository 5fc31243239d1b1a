"""Polls RabbitMQ, Redis and Airflow and caches their health, and caches the states of Airflow runs."""

import asyncio
import logging
import math
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from time import monotonic

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.settings import Settings
from afterwrite.jobs.airflow import AIRFLOW, Airflow, Run, TaskState
from afterwrite.jobs.broker import RABBITMQ, Broker
from afterwrite.jobs.callbacks import REDIS, Callbacks
from afterwrite.jobs.errors import ServiceAway

_log = logging.getLogger("afterwrite.stack")

PARTS = (RABBITMQ, REDIS, AIRFLOW)
_EVERY_SECONDS = 5.0
_TIMEOUT_SECONDS = 3.0
_RUN_SECONDS, _ENDED_RUN_SECONDS, _RUNS_KEPT = 1.0, 30.0, 200
_TROUBLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A cached run; ``trouble`` says why Airflow could not be queried."""

    run: Run | None
    tasks: Sequence[TaskState]
    trouble: str | None


@dataclass(slots=True)
class _Query:
    """A query for a run, possibly still in flight."""

    seen: Future[SeenRun]
    fresh_until: float = math.inf


class StackOverview(Collector):
    """The stack's services as seen by one process; thread-safe between start and stop."""

    def __init__(self, settings: Settings, background: BackgroundLoop, parts: Collection[str] = PARTS) -> None:
        """``parts`` are the services that the process uses. Raises SettingsError for an invalid address."""
        self._background = background
        self._broker, self._callbacks = Broker(settings), Callbacks(settings)
        self._airflow = Airflow(settings, timeout_seconds=_TIMEOUT_SECONDS)
        checks: Mapping[str, Callable[[], Awaitable[None]]] = {
            RABBITMQ: self._broker.check,
            REDIS: self._callbacks.check,
            AIRFLOW: self._airflow.check,
        }
        self._checks = {name: checks[name] for name in parts}
        self._troubles: dict[str, str | None] = dict.fromkeys(parts)
        self._lock = threading.Lock()
        self._queries: dict[str, _Query] = {}
        self._run_trouble: str | None = None
        self._ask_again_at = 0.0
        self._watching: Future[None] | None = None

    def start(self) -> None:
        """Start polling; the first poll is complete when this returns."""
        self._background.submit(self._poll()).result()
        self._watching = self._background.keep("Polling the services of the stack", self._watch())

    def stop(self) -> None:
        """Stop polling; may be called twice."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
            self._background.finish(self._close())

    @property
    def is_well(self) -> bool:
        """Whether every part was available at the last poll."""
        return not any(self._troubles.values())

    def parts(self) -> Mapping[str, Mapping[str, str | None]]:
        """The last known health of each part: ``status`` is ``ok`` or ``away``, ``trouble`` says why."""
        return {
            name: {"status": "ok" if trouble is None else "away", "trouble": trouble}
            for name, trouble in dict(self._troubles).items()
        }

    def statuses(self) -> Mapping[str, Mapping[str, str | None]]:
        """The same without ``trouble``, which names addresses."""
        return {name: {"status": part["status"]} for name, part in self.parts().items()}

    def run(self, run_id: str) -> SeenRun:
        """A run as of at most a second ago, or half a minute if it has ended.

        Concurrent callers share one query. While Airflow is unavailable, no caller waits: they get the last problem at
        once, and a query in the background retries every few seconds.
        """
        now = monotonic()
        with self._lock:
            if self._run_trouble is not None:
                if now >= self._ask_again_at:
                    self._ask_again_at = math.inf  # until this query is done
                    self._query(run_id)
                return SeenRun(None, [], self._run_trouble)
            query = self._queries.get(run_id)
            if query is None or query.fresh_until < now:
                query = self._query(run_id)
        return query.seen.result()

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not trigger a query."""
        return ()

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily(
            "afterwrite_stack_up", "Whether a service of the stack was available at the last poll", labels=["part"]
        )
        for name, trouble in dict(self._troubles).items():
            up.add_metric([name], float(trouble is None))
        yield up

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self._poll()

    async def _poll(self) -> None:
        names = list(self._checks)
        for name, trouble in zip(names, await asyncio.gather(*map(self._trouble, names)), strict=True):
            if trouble is None and self._troubles[name] is not None:
                _log.info("%s is available again", name)
            elif trouble is not None and self._troubles[name] is None:
                _log.warning("%s", trouble)
            self._troubles[name] = trouble

    async def _trouble(self, name: str) -> str | None:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await self._checks[name]()
        except TimeoutError:
            return f"{name} did not answer within {_TIMEOUT_SECONDS:g} s"
        except ServiceAway as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - polling must go on
            if self._troubles[name] is None:
                _log.warning("the health check of %s failed", name, exc_info=error)
            return f"the health check of {name} failed: {type(error).__name__}: {error}"
        return None

    def _query(self, run_id: str) -> _Query:
        """Start a query for a run, evicting the oldest if the cache is full. The lock must be held."""
        self._queries.pop(run_id, None)
        while len(self._queries) >= _RUNS_KEPT:
            self._queries.pop(next(iter(self._queries)))
        query = self._queries[run_id] = _Query(self._background.submit(self._see(run_id)))
        query.seen.add_done_callback(lambda seen: self._keep(query, seen))
        return query

    def _keep(self, query: _Query, done: Future[SeenRun]) -> None:
        """Set how long the answer stays fresh, and whether Airflow is available."""
        seen = None if done.cancelled() or done.exception() else done.result()
        now = monotonic()
        query.fresh_until = 0.0 if seen is None or seen.trouble else now + _fresh_seconds(seen)
        self._ask_again_at = now + _TROUBLE_SECONDS
        self._run_trouble = None if seen is None else seen.trouble

    async def _see(self, run_id: str) -> SeenRun:
        trouble = ""
        try:
            # A task group, so that the failure of one query cancels the other.
            async with asyncio.timeout(_TIMEOUT_SECONDS), asyncio.TaskGroup() as queries:
                run = queries.create_task(self._airflow.run(run_id))
                tasks = queries.create_task(self._airflow.task_states(run_id))
        except* TimeoutError:
            trouble = f"Airflow did not answer within {_TIMEOUT_SECONDS:g} s"
        except* ServiceAway as errors:
            trouble = str(errors.exceptions[0])
        return SeenRun(None, [], trouble) if trouble else SeenRun(run.result(), tasks.result(), None)

    async def _close(self) -> None:
        await self._broker.close()
        await self._callbacks.close()
        await self._airflow.close()


def _fresh_seconds(seen: SeenRun) -> float:
    return _ENDED_RUN_SECONDS if seen.run is not None and seen.run.has_ended else _RUN_SECONDS
