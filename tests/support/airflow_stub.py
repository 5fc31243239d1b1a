"""Stands at the HTTP boundary of Airflow where a test is about what is before it and behind it."""

import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

from receiving_server import LoopbackServer

_DAG_RUNS = "/api/v2/dags/process_products/dagRuns"


class AirflowStub(LoopbackServer):
    """Answers as Airflow's API v2 does; listens from the begin of a ``with`` block to its end.

    ``refuses`` is the status that requests for new runs are answered with, 0 for none.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.runs: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.headers: dict[str, dict[str, str]] = {}
        self.refuses, self.states = 0, {"default": "running"}
        self.tokens = ["token 1"]
        self.lock = threading.Lock()

    def expire_tokens(self) -> None:
        """No token that was given is valid any more."""
        self.tokens.append(f"token {len(self.tokens) + 1}")


class _Handler(BaseHTTPRequestHandler):
    server: AirflowStub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Give a token, or begin a run."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/auth/token":
            self._answer(201, {"access_token": self.server.tokens[-1]})
        elif self._is_known() and self.path == _DAG_RUNS:
            self._begin(body)

    def do_GET(self) -> None:
        """Tell how it is, or how a run is."""
        if self.path == "/api/v2/monitor/health":
            self._answer(200, {name: {"status": "healthy"} for name in ("metadatabase", "scheduler")})
        elif self._is_known():
            run = self.server.runs.get(self.path.removeprefix(f"{_DAG_RUNS}/"))
            if run is None:
                self._answer(404, {"detail": "The DagRun was not found"})
            else:
                states = self.server.states
                state = states.get(run["dag_run_id"], states["default"])
                self._answer(200, {**run, "state": state})

    def _begin(self, body: dict[str, Any]) -> None:
        run_id = body["dag_run_id"]
        with self.server.lock:
            self.server.asked.append(run_id)
            is_known = run_id in self.server.runs
            if not is_known and not self.server.refuses:
                self.server.runs[run_id] = body
                self.server.headers[run_id] = {name.lower(): value for name, value in self.headers.items()}
        if self.server.refuses:
            self._answer(self.server.refuses, {"detail": "as the test wants it"})
        elif is_known:
            self._answer(409, {"detail": "it exists"})
        else:
            self._answer(200, {"dag_run_id": run_id, "state": "queued"})

    def _is_known(self) -> bool:
        is_known = self.headers.get("Authorization") == f"Bearer {self.server.tokens[-1]}"
        if not is_known:
            self._answer(401, {"detail": "Invalid token"})
        return is_known

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""
