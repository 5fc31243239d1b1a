"""The program of a process that runs tasks and serves no requests; any number of them work on one PostgreSQL."""

import argparse
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from afterwrite.base.settings import Settings, SettingsError
from afterwrite.programs.running import run_until_told
from afterwrite.service.health_server import HealthServer
from afterwrite.service.process import Process
from afterwrite.tasks.store import TaskStore

_log = logging.getLogger("afterwrite.app")


class WorkerProcess(Process):
    """A process that runs tasks and serves no requests: opened by the constructor, running until ``stop``."""

    def __init__(
        self,
        settings: Settings,
        types: Collection[str] | None,
        concurrency: int | None,
        *,
        role: str = "worker",
        stack_parts: Collection[str] | None = None,
    ) -> None:
        """See Process for the arguments. Raises StoreError or SettingsError with one line that says what to do."""
        super().__init__(
            settings, role, runs_tasks=True, types=types, concurrency=concurrency, stack_parts=stack_parts
        )
        self.metrics.watch(None, self.tasks.status, self.stores.conflicts)
        _check_types(types, self._runtime.registry.types)
        self.troubles: list[Callable[[], str | None]] = []
        """What else is asked whether all is well."""
        self._health: HealthServer | None = None
        if settings.metrics_port:
            self._health = HealthServer(settings, self.background, self._told, self.metrics.registry)

    def start(self) -> None:
        """Run tasks from now on."""
        super().start()
        if self._health:
            self._health.start()
        _log.info("running tasks of the types %s as %s", ", ".join(self._types), self.tasks.status().name)

    def stop(self) -> None:
        """Let running tasks end, release the others, close everything."""
        if self._health:
            self._health.stop()
            self._health = None
        super().stop()

    @property
    def store(self) -> TaskStore:
        """The tasks, for who changes them beside the workers."""
        return self._runtime.store

    def _told(self) -> Mapping[str, object]:
        """What /health tells."""
        tasks = self.tasks.status()
        told: dict[str, object] = {"tasks": {"worker": tasks.name, "running": dict(tasks.running)}}
        is_well = tasks.trouble is None and not any(trouble() for trouble in self.troubles)
        if self.stack is not None:
            told["stack"], is_well = self.stack.statuses(), is_well and self.stack.is_well
        return {"status": "ok" if is_well else "degraded", **told}

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
        return WorkerProcess(settings, options.types, options.concurrency)

    return run_until_told(make)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="afterwrite worker", description=__doc__)
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
