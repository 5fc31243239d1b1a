"""Operational routes: ``/health``, ``/ready``, ``/metrics`` and ``/openapi.json``."""

from typing import Any

from flask import Response, jsonify

from afterwrite.access.caller import current_caller
from afterwrite.access.roles import Role
from afterwrite.base.settings import VERSION
from afterwrite.base.times import from_microseconds
from afterwrite.rest.reading import Given
from afterwrite.rest.route import Gives, Routes
from afterwrite.rest.schemas import TEXT
from afterwrite.service.service import Service
from afterwrite.storage.processes import ProcessAlive

operations = Routes("operations")


@operations.route(
    "GET", "/health", Role.NOBODY, {200: Gives("Health", "Alive"), 503: Gives("Health", "Stuck: restart the server")}
)
def health(given: Given) -> tuple[Response, int]:
    """Health of the server; the role decides the level of detail."""
    service = given.service
    stuck = service.background.trouble
    whole = _health(service, stuck)
    status = 503 if stuck else 200
    role = current_caller().role
    if role is Role.ADMIN:
        return jsonify(whole), status
    part = {name: whole[name] for name in ("status", "version")}
    if role >= Role.READ:
        part |= {name: {"status": whole[name]["status"]} for name in ("database", "journal", "tasks")}
        part["integrations"] = whole["integrations"]
        if service.stack is not None:
            part["stack"] = service.stack.statuses()
    return jsonify(part), status


@operations.route(
    "GET", "/ready", Role.NOBODY, {200: Gives("Ready", "Ready"), 503: Gives("Ready", "Stopping or stuck")}
)
def ready(given: Given) -> tuple[Response, int]:
    """Whether the server is ready for requests."""
    if not given.service.accepting:
        return jsonify(ready=False, reason="The server is stopping"), 503
    if given.service.background.trouble:  # may name files, so only admins see it, at /health
        return jsonify(ready=False, reason="The background work has stopped or is blocked"), 503
    return jsonify(ready=True), 200


@operations.route("GET", "/metrics", Role.ADMIN, {200: Gives(TEXT, "Prometheus text format")})
def metrics(given: Given) -> Response:
    """Prometheus metrics."""
    exposition = given.service.metrics.exposition()
    return Response(exposition, content_type="text/plain; version=0.0.4; charset=utf-8")


@operations.route("GET", "/openapi.json", Role.READ, {200: Gives({"type": "object"}, "The document")})
def openapi(given: Given) -> Response:
    """This OpenAPI document."""
    return Response(given.document, content_type="application/json")


def _health(service: Service, stuck: str | None) -> dict[str, Any]:
    """The full report, for admins only: a trouble may name files of the server."""
    status, tasks = service.queue.status(), service.tasks.status()
    trouble = stuck or status.trouble or service.stores.read_trouble()
    task_trouble = stuck or tasks.trouble
    is_away = service.stack is not None and not service.stack.is_well
    whole = {
        "status": "degraded" if trouble or status.journal_trouble or task_trouble or is_away else "ok",
        "version": VERSION,
        "queue": {
            "depth": status.depth,
            "bytes": status.size_bytes,
            "oldestAgeMs": status.oldest_age_ms,
            "state": status.state,
        },
        "database": {"status": "degraded" if trouble else "ok", "trouble": trouble},
        "journal": {
            "status": "degraded" if status.journal_trouble else "ok",
            "trouble": status.journal_trouble,
            "sync": service.stores.sync,
        },
        "tasks": {
            "status": "degraded" if task_trouble else "ok",
            "trouble": task_trouble,
            "worker": tasks.name,
            "running": tasks.running,
        },
        "integrations": tasks.integrations,
        "processes": [_json_of(process) for process in service.processes()],
    }
    if service.stack is not None:
        whole["stack"] = service.stack.parts()
    return whole


def _json_of(process: ProcessAlive) -> dict[str, Any]:
    return {
        "name": process.name,
        "role": process.role,
        "host": process.host,
        "pid": process.pid,
        "version": process.version,
        "startedAt": from_microseconds(process.started_at_us).isoformat(),
        "lastHeartbeat": from_microseconds(process.beat_at_us).isoformat(),
        "silentMs": process.silent_us // 1000,
        "doing": process.doing,
    }
