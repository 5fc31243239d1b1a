"""Asks Airflow whether a run could start: ``python -m devkit.airflow_ready [--wait SECONDS]`` exits 0 if so.

It asks as the consumer does, with the same address, user and password: the scheduler and the DAG processor live, and
the DAG is there and not paused.
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

from afterwrite.base.utf8 import use_utf8

DAG = "process_products"
PARTS = ("metadatabase", "scheduler", "dag_processor")
PAUSE_SECONDS = 0.5


class NotReady(Exception):
    """No run could start now; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Airflow:
    """Where Airflow's API server is, and who asks it."""

    url: str
    username: str
    password: str

    def check(self) -> None:
        """Return if a run could start; otherwise raise NotReady."""
        parts = self._ask("GET", "/api/v2/monitor/health")
        ill = [name for name in PARTS if parts.get(name, {}).get("status") != "healthy"]
        if ill:
            raise NotReady(f"not healthy: {', '.join(ill)}")
        who = {"username": self.username, "password": self.password}
        token = self._ask("POST", "/auth/token", body=json.dumps(who))["access_token"]
        dag = self._ask("GET", f"/api/v2/dags/{DAG}", {"Authorization": f"Bearer {token}"})
        if dag.get("is_paused") is not False:
            raise NotReady(f"the DAG {DAG} is paused: unpause it in Airflow")

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> dict[str, Any]:
        place = urlsplit(self.url)
        kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        connection = kind(place.hostname or "", place.port, timeout=5)
        told = {"Content-Type": "application/json", **(headers or {})}
        try:
            connection.request(method, place.path.rstrip("/") + path, body, told)
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
    """Return once a run could start; raise NotReady with what is missing when the time is up."""
    until = time.monotonic() + limit_seconds
    while True:
        try:
            return airflow.check()
        except NotReady:
            if time.monotonic() >= until:
                raise
        time.sleep(PAUSE_SECONDS)


def main(arguments: list[str]) -> int:
    """Run the check; print one line if no run could start."""
    parser = argparse.ArgumentParser(prog="python -m devkit.airflow_ready", description=__doc__)
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="how long to wait until it is so"
    )
    options = parser.parse_args(arguments)
    given = [os.environ.get(f"AIRFLOW_{name}", "") for name in ("URL", "USERNAME", "PASSWORD")]
    try:
        wait_until_ready(Airflow(*given), options.wait)
    except NotReady as error:
        sys.stderr.write(f"Airflow is not ready, {error}: look at its log\n")
        return 1
    return 0


if __name__ == "__main__":
    use_utf8()
    sys.exit(main(sys.argv[1:]))
