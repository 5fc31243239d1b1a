"""A real Airflow in an environment of its own, with a database of its own, its processes on a free port."""

import contextlib
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from server_process import free_port, process_group, wait_until, watched

from devkit.airflow import airflow_environment, prepare_airflow, ready_airflow

USER, PASSWORD = "afterwrite", "a secret of the test"
_READY_SECONDS = 240  # of a loaded machine; a quiet one takes 20
# One that was killed is noticed soon.
_QUICK = {
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
}


class Airflow:
    """One installation; ``environment`` is what the tasks of the DAG find in theirs."""

    def __init__(self, folder: Path, database: str, environment: Mapping[str, str]) -> None:
        self._folder, self._database, self.port = folder, database, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._program = ready_airflow()
        self._environment = airflow_environment(
            folder, self.port, database, (USER, PASSWORD), {**_QUICK, **environment}
        )
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def prepare(self) -> None:
        """Make its database, and read the DAG."""
        prepare_airflow(self._environment)

    def start(self, *names: str) -> None:
        """Start these processes (``api-server``, ``scheduler``; else both) and return when they are healthy."""
        for name in names or ("api-server", "scheduler"):
            with (self._folder / f"{name}.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    [self._program, name], env=self._environment, stdout=log, stderr=log, start_new_session=True
                )
        wait_until(self._is_healthy, _READY_SECONDS)

    def kill(self, *names: str) -> None:
        """SIGKILL these processes with all that they started; else all that run."""
        for name in names or tuple(self._processes):
            process = self._processes.pop(name)
            with watched(process_group(process.pid)) as ended:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                ended(_READY_SECONDS)
            process.wait()

    def rows(self, statement: str, *values: object) -> list[Any]:
        """What a statement finds in Airflow's own database."""
        with psycopg.connect(self._database.replace("+psycopg", "")) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def do_again(self, run_id: str) -> None:
        """Clear every task of a run, as people do who want it to be done again."""
        token = self._ask("/auth/token", {"username": USER, "password": PASSWORD})["access_token"]
        wanted = {"dry_run": False, "only_failed": False}
        self._ask(f"/api/v2/dags/process_products/dagRuns/{run_id}/clear", wanted, Authorization=f"Bearer {token}")

    def task_log(self, run_id: str) -> list[dict[str, Any]]:
        """What the tasks of a run have logged so far."""
        files = (self._folder / "logs").rglob(f"*{run_id}/**/*.log")
        lines = [line for file in files for line in file.read_text().splitlines(keepends=True)]
        return [json.loads(line) for line in lines if line.endswith("\n")]  # the last one may be under way

    def _ask(self, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        asked = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def revive(self) -> None:
        """Start what has ended by itself, as its supervisor would."""
        ended = [name for name, process in self._processes.items() if process.poll() is not None]
        if ended:
            self.kill(*ended)
            self.start(*ended)

    def log(self, name: str) -> str:
        """What a process has said."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def _is_healthy(self) -> bool:
        for name, process in self._processes.items():
            assert process.poll() is None, f"{name} has ended:\n{self.log(name)[-3000:]}"
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=5) as answer:
                health: dict[str, Any] = json.load(answer)
        except OSError:
            return False
        wanted = ["metadatabase"] + ["scheduler"] * ("scheduler" in self._processes)
        return all(health[name]["status"] == "healthy" for name in wanted)


@contextlib.contextmanager
def new_airflow(folder: Path, database: str, environment: Mapping[str, str]) -> Iterator[Airflow]:
    """A running Airflow over an empty database, killed at the end."""
    folder.mkdir(parents=True)
    airflow = Airflow(folder, database, environment)
    airflow.prepare()
    airflow.start()
    try:
        yield airflow
    finally:
        airflow.kill()
