"""A process that runs tasks answers /health and /metrics on a port of its own."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry, Gauge
from server_process import Client, free_port

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.settings import VERSION, Settings, SettingsError
from afterwrite.service.health_server import HealthServer
from devkit.health import health
from devkit.place import Place


class Worker:
    """What a process of workers has to do with its port."""

    def __init__(self) -> None:
        self.background, self.registry, self.status = BackgroundLoop(), CollectorRegistry(), "ok"
        self.settings = Settings(metrics_port=free_port())
        self.server = HealthServer(self.settings, self.background, self.told, self.registry)

    def told(self) -> Mapping[str, object]:
        """What it says of itself."""
        return {"status": self.status, "tasks": {"worker": "here-1-abcd", "running": {"entry": 2}}}

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of the answer."""
        client = Client(self.settings.metrics_port)
        try:
            return client.request("GET", path)
        finally:
            client.close()


@pytest.fixture
def worker() -> Iterator[Worker]:
    found = Worker()
    found.background.start()
    found.server.start()
    yield found
    found.server.stop()
    found.background.stop()


@contextmanager
def held(background: BackgroundLoop) -> Iterator[None]:
    """Somebody works on the loop and does not give way."""
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        end.wait(60)

    background.loop.call_soon_threadsafe(hold)
    assert begun.wait(10)
    try:
        yield
    finally:
        end.set()


def test_a_process_that_works_is_well(worker: Worker) -> None:
    status, body = worker.get("/health")
    told = json.loads(body)
    assert (status, told["status"]) == (200, "ok")
    assert told["tasks"] == {"worker": "here-1-abcd", "running": {"entry": 2}}


def test_the_check_of_a_container_understands_the_answer(worker: Worker) -> None:
    place = Place(worker.settings.data_dir, "127.0.0.1", worker.settings.metrics_port)
    assert (health(place) or {})["status"] == "ok"
    with held(worker.background):
        assert health(place) is None


def test_trouble_is_told_and_restarts_nothing(worker: Worker) -> None:
    worker.status = "degraded"
    status, body = worker.get("/health")
    assert (status, json.loads(body)["status"]) == (200, "degraded")


def test_a_loop_that_does_not_answer_is_not_well(worker: Worker) -> None:
    with held(worker.background):
        status, body = worker.get("/health")
        assert (status, json.loads(body)["status"]) == (503, "stuck")
    assert worker.get("/health")[0] == 200


def test_a_part_of_the_work_that_has_ended_is_stuck_and_named(worker: Worker) -> None:
    part: Future[None] = Future()
    worker.background.watch({"Taking requests": part})
    assert worker.get("/health")[0] == 200
    part.set_exception(ValueError("a reason"))
    status, body = worker.get("/health")
    assert status == 503
    assert json.loads(body) == {
        "status": "stuck",
        "trouble": "Taking requests has ended (ValueError: a reason): restart the process",
        "version": VERSION,
    }


def test_figures_are_there_and_nothing_else(worker: Worker) -> None:
    Gauge("afterwrite_of_a_test", "A figure", registry=worker.registry).set(7)
    status, body = worker.get("/metrics")
    assert status == 200
    assert b"\nafterwrite_of_a_test 7.0\n" in body
    assert worker.get("/")[0] == 404


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"METRICS_PORT={port} of 127.0.0.1 cannot be listened on"):
            HealthServer(Settings(metrics_port=port), BackgroundLoop(), dict, CollectorRegistry())
