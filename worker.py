"""The program of a process that runs tasks and serves no requests; any number of them work on one PostgreSQL."""

from devkit.missing_packages import end_in_one_line

if __name__ == "__main__":
    end_in_one_line()  # before the imports that need packages

import argparse
import logging
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from async_db import QueueLimits
from background import BackgroundLoop
from database.stores import open_stores
from health_server import HealthServer
from metrics import Metrics
from programs import run_until_told
from settings import Settings, SettingsError
from stack.chosen import overview_of
from tasks.feed import TaskFeed
from tasks.runtime import RuntimeLimits, TaskRuntime
from tasks.store import TaskStore
from tasks.workers import build_workers
from utf8 import use_utf8
from webhooks.secret import webhook_secret

_log = logging.getLogger("afterwrite.app")


class WorkerProcess:
    """The workers of one process: opened by the constructor, running between ``start`` and ``stop``."""

    def __init__(
        self,
        settings: Settings,
        types: Collection[str] | None,
        concurrency: int | None,
        *,
        role: str = "worker",
        stack_parts: Collection[str] | None = None,
    ) -> None:
        """``types`` are those whose tasks are run here (None: all), ``concurrency`` is how many of each at once.

        ``role`` is what the process is for, as others are told; ``stack_parts`` are the services beside the database
        that it uses (None: all, where Airflow runs processes). Raises StoreError or SettingsError with one line that
        says what to do.
        """
        self.settings = settings
        self.background = BackgroundLoop()
        self._stores = stores = open_stores(settings, QueueLimits.of(settings).of_store, role)
        assert stores.sharing is not None
        self._sharing, self.metrics = stores.sharing, Metrics(stores.sharing.name)
        self._stack = overview_of(settings, self.background, stack_parts)
        self._runtime = TaskRuntime(
            stores.tasks,
            build_workers(settings, webhook_secret(settings, stores.secret)),
            self.background,
            RuntimeLimits.of(settings),
            self.metrics.count_tasks,
            name=stores.sharing.name,
            types=types,
            concurrency=concurrency,
        )
        self.metrics.watch(None, self._runtime.queue.status, stores.conflicts)
        if self._stack is not None:
            self.metrics.watch_more(self._stack)
        _check_types(types, self._runtime.registry.types)
        self.troubles: list[Callable[[], str | None]] = []
        """What else is asked whether all is well."""
        self._health: HealthServer | None = None
        if settings.metrics_port:
            self._health = HealthServer(settings, self.background, self._told, self.metrics.registry)

    def start(self) -> None:
        """Run tasks from now on."""
        self.background.start()
        if self._stack is not None:
            self._stack.start()
        self._sharing.doing = self._doing
        TaskFeed(self._sharing.bus, self._runtime, self.background, hears_changes=False).start()
        self._runtime.start(alone=False)
        self.background.submit(self._sharing.start()).result()
        self.background.watch(self._sharing.jobs)
        if self._health:
            self._health.start()
        _log.info("running tasks of the types %s as %s", ", ".join(self._types), self._sharing.name)

    def stop(self) -> None:
        """Let running tasks end, release the others, let go of everything."""
        started = time.monotonic()
        self.background.announce_stop()
        if self._health:
            self._health.stop()
        self._runtime.stop()
        if self._stack is not None:
            self._stack.stop()
        self.background.finish(self._sharing.stop())
        self.background.stop()
        self._stores.close()
        _log.info("stopped after %.1f s", time.monotonic() - started)

    @property
    def store(self) -> TaskStore:
        """The tasks, for who changes them beside the workers."""
        return self._runtime.store

    def _told(self) -> Mapping[str, object]:
        """What /health tells."""
        tasks = self._runtime.queue.status()
        told: dict[str, object] = {"tasks": {"worker": tasks.name, "running": dict(tasks.running)}}
        is_well = tasks.trouble is None and not any(trouble() for trouble in self.troubles)
        if self._stack is not None:
            told["stack"], is_well = self._stack.statuses(), is_well and self._stack.is_well
        return {"status": "ok" if is_well else "degraded", **told}

    @property
    def _types(self) -> list[str]:
        return sorted(self._runtime.manager.types)

    def _doing(self) -> Mapping[str, Any]:
        return {"types": self._types, "tasks": dict(self._runtime.queue.status().running)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run tasks until SIGTERM or SIGINT; returns the exit code."""
    options = _parser().parse_args(arguments)

    def make(settings: Settings) -> WorkerProcess:
        if not settings.database_url:
            raise SettingsError(
                "DATABASE_URL is not set: tasks in DATA_DIR are run by the server that owns it. Set DATABASE_URL to a "
                "PostgreSQL for workers in processes of their own"
            )
        return WorkerProcess(settings, options.types, options.concurrency)

    return run_until_told(make)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="worker.py", description=__doc__)
    parser.add_argument(
        "--types",
        metavar="TYPE,…",
        type=lambda text: [name for name in text.split(",") if name],
        help="run tasks of these types only",
    )
    parser.add_argument(
        "--concurrency", metavar="N", type=_positive, help="run N tasks of each type side by side"
    )
    return parser


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 4 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not usable: give a whole number from 1 to 9999")
    return int(text)


def _check_types(wanted: Collection[str] | None, known: Sequence[str]) -> None:
    unknown = sorted(set(wanted or ()) - set(known))
    if unknown:
        raise SettingsError(
            f"--types names {unknown[0]!r}, for which there is no worker; there are workers for {', '.join(known)}"
        )


if __name__ == "__main__":
    use_utf8()
    sys.exit(main())
