"""Measures the time from a job's submission until Airflow has created its run."""

import asyncio
import contextlib
import http.client
import json
import random
import secrets
import time
from collections.abc import Callable

from afterwrite.jobs.airflow import Airflow
from bench.plan import Plan
from bench.servers import afterwrite
from bench.stack.jobs import PRODUCTS
from bench.stack.places import Place, new_place, service
from bench.stack.real_airflow import PASSWORD, USER, RealAirflow, real_airflow
from bench.table import Row, median, ms, percentile
from bench.task_starts import LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, SEED

MOST_P50_MS = 300
JOBS_FOR_A_SECOND, WARM_JOBS = 30, 20
CALLBACK_URL = "http://127.0.0.1:9/called"  # stored as in production; no run ends here


def run_starts(plan: Plan) -> list[Row]:
    """Submit jobs one after the other over HTTP, each after the run of the previous one and a short pause.

    The API server with workers, the consumer and Airflow's API server are separate processes; Airflow has no scheduler.
    The time is measured from before the request until this process is notified of the committed row in Airflow's table
    of runs. PostgreSQL sends NOTIFY after the commit, so the end may be late but never early. For Airflow's own share,
    the same number of runs is requested directly, in turns with the jobs.
    """
    jobs = int(plan.seconds * JOBS_FOR_A_SECOND)
    ours, directly = [], []
    with (
        real_airflow(plan) as airflow,
        new_place(AIRFLOW_URL=airflow.url, AIRFLOW_USERNAME=USER, AIRFLOW_PASSWORD=PASSWORD) as place,
    ):
        server = afterwrite(plan.new_folder(), **place.environment)
        with server as api, service(plan.new_folder(), "consumer", place) as consumer:
            consumer.wait_until_idle()
            for number in range(plan.rounds):
                plan.say(f"submit to run, {jobs} jobs, round {number + 1} of {plan.rounds}")
                chance = random.Random(SEED + number)
                measured = _round(place, api.port, airflow, WARM_JOBS + jobs, chance)
                ours.append([delay for delay, _ in measured[WARM_JOBS:]])
                directly.append([delay for _, delay in measured[WARM_JOBS:]])
    return _rows(ours, directly)


def _round(
    place: Place, port: int, airflow: RealAirflow, jobs: int, chance: random.Random
) -> list[tuple[float, float]]:
    """The milliseconds of each job, and of the run requested directly after it."""
    server = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(server), asyncio.Runner() as runner:
        client = Airflow(place.settings)

        def ask_directly() -> str:
            run_id = f"directly-{secrets.token_hex(8)}"
            runner.run(client.start_run(run_id, {"correlation_id": run_id, "task_id": "1"}, {}))
            return run_id

        measured = []
        for _ in range(jobs):
            through_all = _delay_ms(airflow, chance, lambda: _submit(server))
            measured.append((through_all, _delay_ms(airflow, chance, ask_directly)))
        runner.run(client.close())
    return measured


def _delay_ms(airflow: RealAirflow, chance: random.Random, ask: Callable[[], str]) -> float:
    time.sleep(chance.uniform(LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS))
    before = time.perf_counter()
    return (airflow.created(ask()) - before) * 1_000


def _submit(server: http.client.HTTPConnection) -> str:
    body = json.dumps({"payload": {"products": PRODUCTS}, "callback_url": CALLBACK_URL})
    server.request("POST", "/api/process", body, {"Content-Type": "application/json"})
    answer = server.getresponse()
    said = answer.read()
    if answer.status != http.HTTPStatus.ACCEPTED:
        raise RuntimeError(f"a job was answered with {answer.status}: {said[:500]!r}")
    return str(json.loads(said)["correlation_id"])


def _rows(ours: list[list[float]], directly: list[list[float]]) -> list[Row]:
    """The medians over the rounds."""

    def at(percent: float, delays: list[list[float]]) -> float:
        return median(percentile(some, percent) for some in delays)

    p50 = at(50, ours)
    return [
        Row(
            "submit to run created in Airflow, p50",
            ms(p50),
            f"{ms(at(50, directly))} Airflow alone",
            goal=f"< {MOST_P50_MS} ms",
            reached=p50 < MOST_P50_MS,
        ),
        Row("  its p99", ms(at(99, ours)), f"{ms(at(99, directly))} Airflow alone"),
    ]
