"""``devkit.airflow_ready`` says whether a run could start, and what is missing, as Airflow's API tells it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from compose_file import ROOT

from devkit.airflow_ready import Airflow, NotReady, wait_until_ready

PASSWORD = "right"


class StandIn(ThreadingHTTPServer):
    """Answers what is asked here as Airflow does; a test changes what it would answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        self.health: dict[str, Any] = {part: {"status": "healthy"} for part in parts}
        self.health["triggerer"]["status"] = None  # there is none
        self.dag: dict[str, Any] | None = {"dag_id": "process_products", "is_paused": False}
        self.asked: list[str] = []
        self.heals_when_asked_again = False

    def answer(self, method: str, path: str, body: bytes, authorization: str | None) -> tuple[int, object]:
        """Status and JSON of an answer."""
        self.asked.append(f"{method} {path}")
        if (method, path) == ("GET", "/airflow/api/v2/monitor/health"):
            told = json.loads(json.dumps(self.health))
            if self.heals_when_asked_again:
                self.health["scheduler"]["status"] = "healthy"
            return 200, told
        if (method, path) == ("POST", "/airflow/auth/token"):
            right = json.loads(body) == {"username": "afterwrite", "password": PASSWORD}
            return (201, {"access_token": "token"}) if right else (401, {"detail": "Invalid credentials"})
        if (method, path) == ("GET", "/airflow/api/v2/dags/process_products") and self.dag:
            return (200, self.dag) if authorization == "Bearer token" else (401, {})
        return 404, {"detail": "Not found"}


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, told = self.server.answer(self.command, self.path, body, self.headers.get("Authorization"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        pass


@pytest.fixture
def airflow() -> Iterator[StandIn]:
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def asking(airflow: StandIn, password: str = PASSWORD) -> Airflow:
    return Airflow(f"http://127.0.0.1:{airflow.server_port}/airflow/", "afterwrite", password)


def test_it_is_ready_without_a_triggerer(airflow: StandIn) -> None:
    asking(airflow).check()
    assert len(airflow.asked) == 3


@pytest.mark.parametrize("part", ["metadatabase", "scheduler", "dag_processor"])
def test_the_part_that_is_not_healthy_is_named(airflow: StandIn, part: str) -> None:
    airflow.health[part]["status"] = "unhealthy"
    with pytest.raises(NotReady, match=f"^not healthy: {part}$"):
        asking(airflow).check()


def test_a_dag_that_was_not_read_yet_is_told(airflow: StandIn) -> None:
    airflow.dag = None
    with pytest.raises(NotReady, match="GET /api/v2/dags/process_products was answered with 404"):
        asking(airflow).check()


def test_a_paused_dag_is_told(airflow: StandIn) -> None:
    airflow.dag = {"is_paused": True}
    with pytest.raises(NotReady, match="the DAG process_products is paused"):
        asking(airflow).check()


def test_a_wrong_password_is_told_and_not_shown(airflow: StandIn) -> None:
    with pytest.raises(NotReady, match="POST /auth/token was answered with 401") as told:
        asking(airflow, "wrong").check()
    assert "wrong" not in str(told.value)


def test_it_waits_until_all_is_ready(airflow: StandIn) -> None:
    airflow.health["scheduler"]["status"] = "unhealthy"
    airflow.heals_when_asked_again = True
    wait_until_ready(asking(airflow), 60)
    assert airflow.asked.count("GET /airflow/api/v2/monitor/health") == 2


@pytest.mark.parametrize("fine", [True, False])
def test_the_command_exits_with_what_it_found(airflow: StandIn, fine: bool) -> None:
    settings = asking(airflow, PASSWORD if fine else "wrong")
    given = {"URL": settings.url, "USERNAME": settings.username, "PASSWORD": settings.password}
    told = subprocess.run(
        [sys.executable, "-m", "devkit.airflow_ready"],
        cwd=ROOT,
        env={**os.environ, **{f"AIRFLOW_{name}": value for name, value in given.items()}},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.returncode == (0 if fine else 1)
    assert ("Airflow is not ready" in told.stderr) is not fine


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1"])
def test_where_nothing_answers_it_is_not_ready(url: str) -> None:
    with pytest.raises(NotReady, match="was not answered"):
        Airflow(url, "afterwrite", PASSWORD).check()
