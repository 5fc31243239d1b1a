"""A stub of Airflow's HTTP API: `python -m bench.stack.airflow_stub PORT` issues tokens and creates runs at once.

It answers as Airflow 3 does, with one run per id, and counts the runs (see ``bench.many.counters``).
"""

import json
import sys
from collections.abc import Callable, Sequence

from bench.many.counters import counter
from bench.stack.http_answers import Answer, serve

_RUNS = "/api/v2/dags/process_products/dagRuns"
_HEALTHY = json.dumps({name: {"status": "healthy"} for name in ("metadatabase", "scheduler")}).encode()


def airflow(count: Callable[[], None]) -> Answer:
    """The stub's request handler; calls ``count`` for each new run."""
    begun: set[str] = set()

    def begin(body: bytes) -> tuple[int, bytes]:
        run_id = json.loads(body)["dag_run_id"]
        if run_id in begun:
            return 409, json.dumps({"detail": "The DagRun exists"}).encode()
        begun.add(run_id)
        count()
        return 200, json.dumps({"dag_run_id": run_id, "state": "queued"}).encode()

    def answer(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if (method, path) == ("POST", _RUNS):
            return begin(body)
        if path == "/auth/token":
            return 201, json.dumps({"access_token": "a token"}).encode()
        return 200, _HEALTHY

    return answer


def main(arguments: Sequence[str]) -> None:
    """Serve until SIGTERM."""
    serve(int(arguments[0]), airflow(counter()))


if __name__ == "__main__":
    main(sys.argv[1:])
