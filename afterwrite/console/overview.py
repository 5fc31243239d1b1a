"""The overview page: the write queue, tasks, recent failures, and the health of every part."""

from typing import Any, NamedTuple

from flask import Blueprint, Response

from afterwrite.access.control import may
from afterwrite.base.store_errors import StoreError, log_and_redact
from afterwrite.console.answers import page
from afterwrite.console.charts import Chart, chart
from afterwrite.resources.write import Write, WriteFilter, WriteStatus
from afterwrite.service.recent import BUCKET_SECONDS, KEPT_SECONDS
from afterwrite.service.service import Service
from afterwrite.tasks.listing import TaskFilter
from afterwrite.tasks.task import Task, TaskStatus
from afterwrite.writes.queue import QueueStatus

_FAILURES = 6
_POINTS = KEPT_SECONDS // BUCKET_SECONDS
_HIDDEN = "an administrator sees why"
# The services of the stack: name, and detail while the service is healthy.
_STACK = {
    "rabbitmq": ("RabbitMQ", "carries jobs and results"),
    "redis": ("Redis", "keeps callback URLs"),
    "airflow": ("Airflow", "runs jobs"),
}


class Part(NamedTuple):
    """A part of the server: its status, and why it is unhealthy."""

    name: str
    status: str
    detail: str


class Failure(NamedTuple):
    """A write or a task that FAILED; one of them is None."""

    at_us: int
    write: Write | None
    task: Task | None


def add_overview(blueprint: Blueprint, service: Service) -> None:
    """Add ``/``."""

    @blueprint.get("/")
    def overview() -> Response:
        internals = may("Query.queue")
        queue = service.queue.status()
        parts = _parts(service, queue, internals=internals)
        try:
            figures = _figures(service, queue)
        except StoreError as error:
            figures = {"trouble": str(error) if internals else log_and_redact(error)}
        return page(
            "overview.html",
            place="overview",
            parts=parts,
            queue=queue if internals else None,
            charts=_charts(service) if internals else [],
            processes=service.processes() if internals and service.sharing is not None else [],
            **figures,
        )


def _figures(service: Service, queue: QueueStatus) -> dict[str, Any]:
    return {
        "trouble": None,
        "write_counts": {
            WriteStatus.QUEUED: queue.depth,
            WriteStatus.APPLIED: queue.applied_total,
            WriteStatus.FAILED: queue.failed_total,
        },
        "task_counts": service.tasks.counts(),
        "failures": _failures(service),
    }


def _failures(service: Service) -> list[Failure]:
    """The most recent failures of writes and tasks, newest first."""
    writes: list[Write] = []
    if may("GET /writes"):
        writes = service.queue.newest(WriteFilter(status=WriteStatus.FAILED), None, _FAILURES)
    tasks = service.tasks.newest(TaskFilter(frozenset({TaskStatus.FAILED})), None, _FAILURES)
    found = [Failure(write.settled_at_us or write.accepted_at_us, write, None) for write in writes]
    found += [Failure(task.finished_at_us or task.updated_at_us, None, task) for task in tasks]
    return sorted(found, key=lambda failure: -failure.at_us)[:_FAILURES]


def _parts(service: Service, queue: QueueStatus, *, internals: bool) -> list[Part]:
    """Every part of the server; ``internals`` includes why a part is unhealthy."""
    tasks = service.tasks.status()
    troubles = {
        "Database": queue.trouble or service.stores.read_trouble(),
        "Journal": queue.journal_trouble,
        "Workers": tasks.trouble,
    }
    well = {
        "Database": "reads and applies",
        "Journal": f"synced: {service.stores.sync}",
        "Workers": f"{sum(tasks.running.values())} running",
    }
    parts = [
        Part(name, "degraded" if trouble else "ok", (trouble if internals else _HIDDEN) if trouble else well[name])
        for name, trouble in troubles.items()
    ]
    parts += [Part(name.capitalize(), str(how.get("status", "ok")), "") for name, how in tasks.integrations.items()]
    return parts + _stack(service, internals=internals)


def _stack(service: Service, *, internals: bool) -> list[Part]:
    """The services of the stack, if Airflow runs jobs."""
    found = {} if service.stack is None else service.stack.parts()
    parts = []
    for key, how in found.items():
        name, does = _STACK[key]
        trouble = how["trouble"]
        parts.append(Part(name, how["status"] or "", does if trouble is None else trouble if internals else _HIDDEN))
    return parts


def _charts(service: Service) -> list[Chart]:
    try:
        points = service.points()[-_POINTS:]
    except StoreError:  # health reports it
        points = []
    missing = [None] * (_POINTS - len(points))  # before the start of the server
    return [
        chart("Queue depth", "writes wait", missing + [point.depth for point in points]),
        chart("Writes", "a second", missing + [point.settled_per_second for point in points]),
        chart("Accepted to applied", "ms, the median", missing + [point.p50_ms for point in points]),
    ]
