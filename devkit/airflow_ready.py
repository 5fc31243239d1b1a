"""Readiness check of Airflow: ``python -m devkit.airflow_ready [--wait SECONDS]`` exits 0 if a run could start.

Uses the consumer's address, user and password. Airflow is ready if its database, scheduler and DAG processor are
healthy and the DAG exists and is not paused.
"""

import argparse
import http.client
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from devkit.errors import run

DAG = "process_products"
PARTS = ("metadatabase", "scheduler", "dag_processor")
PAUSE_SECONDS = 0.5


class NotReady(Exception):
    """Airflow cannot start a run now; the text names the reason."""


@dataclass(frozen=True, slots=True)
class Airflow:
    """The address of Airflow's API server, and the user to authenticate as."""

    url: str
    username: str
    password: str

    def check(self) -> None:
        """Raise NotReady unless a run could start."""
        parts = self._ask("GET", "/api/v2/monitor/health")
        unhealthy = [name for name in PARTS if parts.get(name, {}).get("status") != "healthy"]
        if unhealthy:
            raise NotReady(f"not healthy: {', '.join(unhealthy)}")
        login = {"username": self.username, "password": self.password}
        token = self._ask("POST", "/auth/token", body=json.dumps(login))["access_token"]
        dag = self._ask("GET", f"/api/v2/dags/{DAG}", {"Authorization": f"Bearer {token}"})
        if dag.get("is_paused") is not False:
            raise NotReady(f"the DAG {DAG} is paused: unpause it in Airflow")

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> dict[str, Any]:
        place = urlsplit(self.url)
        kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        connection = kind(place.hostname or "", place.port, timeout=5)
        sent = {"Content-Type": "application/json", **(headers or {})}
        try:
            connection.request(method, place.path.rstrip("/") + path, body, sent)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
                raise NotReady(f"{method} {path} was answered with {answer.status} {answer.reason}")
            found: dict[str, Any] = json.loads(text)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotReady(f"{method} {path} was not answered: {error}") from error
        finally:
            connection.close()
        return found


def wait_until_ready(airflow: Airflow, limit_seconds: float) -> None:
    """Poll until a run could start. Raises NotReady after ``limit_seconds``, with the reason."""
    until = time.monotonic() + limit_seconds
    while True:
        try:
            return airflow.check()
        except NotReady:
            if time.monotonic() >= until:
                raise
        time.sleep(PAUSE_SECONDS)


def main(arguments: list[str]) -> int:
    """Run the check; print one line if it fails."""
    parser = argparse.ArgumentParser(prog="python -m devkit.airflow_ready", description=__doc__)
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="how long to wait for it")
    options = parser.parse_args(arguments)
    given = [os.environ.get(f"AIRFLOW_{name}", "") for name in ("URL", "USERNAME", "PASSWORD")]
    try:
        wait_until_ready(Airflow(*given), options.wait)
    except NotReady as error:
        sys.stderr.write(f"Airflow is not ready, {error}: see its log\n")
        return 1
    return 0


if __name__ == "__main__":
    run(main)
