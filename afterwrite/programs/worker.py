"""The worker process: runs tasks without serving requests; any number of them share one PostgreSQL."""

import argparse
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from afterwrite.base.settings import Settings, SettingsError
from afterwrite.programs.here import add_app_option, application_here
from afterwrite.programs.running import run_until_signal
from afterwrite.resources.compiled import CompiledResource
from afterwrite.service.health_server import HealthServer
from afterwrite.service.process import OwnWorker, Process
from afterwrite.tasks.store import TaskStore

_log = logging.getLogger("afterwrite.app")


class WorkerProcess(Process):
    """A process that only runs tasks: opened by the constructor, running until ``stop``."""

    def __init__(
        self,
        settings: Settings,
        types: Collection[str] | None,
        concurrency: int | None,
        *,
        resources: Mapping[str, CompiledResource] | None = None,
        workers: Sequence[OwnWorker] = (),
        role: str = "worker",
        stack_parts: Collection[str] | None = None,
    ) -> None:
        """Arguments as for Process. Raises StoreError or SettingsError, with one line that says what to do."""
        super().__init__(
            settings,
            resources,
            role,
            runs_tasks=True,
            workers=workers,
            types=types,
            concurrency=concurrency,
            stack_parts=stack_parts,
        )
        self.metrics.watch(None, self.tasks.status, self.stores.conflicts)
        _check_types(types, self._runtime.registry.types)
        self.troubles: list[Callable[[], str | None]] = []
        """Further checks that can make ``/health`` report ``degraded``."""
        self._health: HealthServer | None = None
        if settings.metrics_port:
            self._health = HealthServer(settings, self.background, self._health_report, self.metrics.registry)

    def start(self) -> None:
        super().start()
        if self._health:
            self._health.start()
        _log.info("running tasks of the types %s as %s", ", ".join(self._types), self.tasks.status().name)

    def stop(self) -> None:
        """Let running tasks finish, release the others, close everything."""
        if self._health:
            self._health.stop()
            self._health = None
        super().stop()

    @property
    def store(self) -> TaskStore:
        """The task store, for changes from outside the workers."""
        return self._runtime.store

    def _health_report(self) -> Mapping[str, object]:
        tasks = self.tasks.status()
        report: dict[str, object] = {"tasks": {"worker": tasks.name, "running": dict(tasks.running)}}
        is_well = tasks.trouble is None and not any(trouble() for trouble in self.troubles)
        if self.stack is not None:
            report["stack"], is_well = self.stack.statuses(), is_well and self.stack.is_well
        return {"status": "ok" if is_well else "degraded", **report}

    @property
    def _types(self) -> list[str]:
        return sorted(self._runtime.manager.types)

    def _doing(self) -> Mapping[str, Any]:
        return {"types": self._types, "tasks": dict(self.tasks.status().running)}


def main(arguments: Sequence[str]) -> int:
    """Run tasks until SIGTERM or SIGINT; returns the exit code."""
    options = _parser().parse_args(arguments)

    def make(settings: Settings) -> WorkerProcess:
        if not settings.database_url:
            raise SettingsError(
                "DATABASE_URL is not set: tasks in DATA_DIR are run by the server that owns it. Set DATABASE_URL to a "
                "PostgreSQL for workers in processes of their own"
            )
        application = application_here(options.app)
        return WorkerProcess(
            settings, options.types, options.concurrency, resources=application.resources, workers=application.workers
        )

    return run_until_signal(make)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="afterwrite worker", description=__doc__)
    parser.add_argument(
        "--types",
        metavar="TYPE,…",
        type=lambda text: [name for name in text.split(",") if name],
        help="run tasks of these types only",
    )
    parser.add_argument(
        "--concurrency", metavar="N", type=_positive, help="run up to N tasks of each type concurrently"
    )
    add_app_option(parser)
    return parser


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 4 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is invalid: give a whole number from 1 to 9999")
    return int(text)


def _check_types(wanted: Collection[str] | None, known: Sequence[str]) -> None:
    unknown = sorted(set(wanted or ()) - set(known))
    if unknown:
        raise SettingsError(f"--types has the unknown type {unknown[0]!r}: give any of {', '.join(known)}")
