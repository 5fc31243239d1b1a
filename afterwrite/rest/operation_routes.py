"""Answers ``/health``, ``/ready``, ``/metrics`` and ``/openapi.json``, for those who run the server or call it."""

from typing import Any

from flask import Response, jsonify

from afterwrite.access.caller import current_caller
from afterwrite.access.roles import Role
from afterwrite.base.settings import VERSION
from afterwrite.base.store_errors import StoreError
from afterwrite.base.times import from_microseconds
from afterwrite.rest.reading import Given
from afterwrite.rest.route import Routes
from afterwrite.rest.schemas import TEXT
from afterwrite.service.service import Service

operations = Routes("operations")


@operations.route(
    "GET", "/health", Role.NOBODY, {200: ("Health", "It answers"), 503: ("Health", "Only a restart helps")}
)
def health(given: Given) -> tuple[Response, int]:
    """How the server is."""
    service = given.service  # how much of it is told depends on the role
    stuck = service.background.trouble
    whole = _health(service, stuck)
    status = 503 if stuck else 200  # 503: a restart helps
    role = current_caller().role
    if role is Role.ADMIN:
        return jsonify(whole), status
    shown = {name: whole[name] for name in ("status", "version")}
    if role >= Role.READ:
        shown |= {name: {"status": whole[name]["status"]} for name in ("database", "journal", "tasks")}
        shown["integrations"] = whole["integrations"]
        if service.stack is not None:
            shown["stack"] = service.stack.statuses()
    return jsonify(shown), status


@operations.route(
    "GET",
    "/ready",
    Role.NOBODY,
    {200: ("Ready", "They may"), 503: ("Ready", "They may not: it is stopping or stuck")},
)
def ready(given: Given) -> tuple[Response, int]:
    """Whether requests may come."""
    if not given.service.accepting:
        return jsonify(ready=False, reason="The server is stopping"), 503
    if given.service.background.trouble:  # it may name files: /health says it to admins
        return jsonify(ready=False, reason="What works in the background has ended or is blocked"), 503
    return jsonify(ready=True), 200


@operations.route("GET", "/metrics", Role.ADMIN, {200: (TEXT, "The text format of Prometheus")})
def metrics(given: Given) -> Response:
    """Figures for Prometheus."""
    exposition = given.service.metrics.exposition()
    return Response(exposition, content_type="text/plain; version=0.0.4; charset=utf-8")


@operations.route("GET", "/openapi.json", Role.READ, {200: ({"type": "object"}, "The document")})
def openapi(given: Given) -> Response:
    """This document."""
    return Response(given.document, content_type="application/json")


def _health(service: Service, stuck: str | None) -> dict[str, Any]:
    """All there is to tell. Queue and trouble are for those who run the server: a trouble may name files of theirs."""
    status, tasks = service.queue.status(), service.tasks.status()
    trouble = stuck or status.trouble or service.products.trouble()
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
        "processes": _processes(service),
    }
    if service.stack is not None:
        whole["stack"] = service.stack.parts()
    return whole


def _processes(service: Service) -> list[dict[str, Any]]:
    """Every process on the same data; none that can be told of while the database is away."""
    try:
        alive = service.processes()
    except StoreError:  # which the status of the database says already
        return []
    return [
        {
            "name": one.name,
            "role": one.role,
            "host": one.host,
            "pid": one.pid,
            "version": one.version,
            "startedAt": from_microseconds(one.started_at_us).isoformat(),
            "lastHeartbeat": from_microseconds(one.beat_at_us).isoformat(),
            "silentMs": one.silent_us // 1000,
            "doing": one.doing,
        }
        for one in alive
    ]
