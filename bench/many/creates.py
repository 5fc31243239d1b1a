"""Measures durable creates over HTTP with 1, 2 and 4 API processes."""

import contextlib
import time

from bench import servers
from bench.load import Load, Result, apply_load
from bench.many.databases import connect, count, new_database
from bench.plan import Plan
from bench.table import Row, median, ms, times, whole
from bench.workloads import create_title

PROCESSES = (1, 2, 4)
SETTLE_SECONDS, POLL_SECONDS = 60.0, 0.05


def durable_creates(plan: Plan) -> list[Row]:
    """Spread the same number of clients over the processes; then count acknowledged creates that are not stored."""
    results: dict[int, list[Result]] = {number: [] for number in PROCESSES}
    missing = 0
    for number in range(plan.rounds):
        for processes in PROCESSES:
            plan.say(f"createProduct, API processes: {processes}, round {number + 1} of {plan.rounds}")
            result, lost = _round(plan, processes)
            results[processes].append(result)
            missing += lost
    return _rows(results, missing)


def _round(plan: Plan, processes: int) -> tuple[Result, int]:
    with new_database() as url, contextlib.ExitStack() as stack:
        settings = {"DATABASE_URL": url, "RUN_WORKERS": "off"}
        ports = [stack.enter_context(servers.afterwrite(plan.new_folder(), **settings)).port for _ in range(processes)]
        result = apply_load(Load(ports[0], "createProduct", plan.seconds, other_ports=ports[1:]))
        if result.bad:
            plan.say(f"{result.bad} bad answers; the first: {result.first_bad}")
        return result, _missing(url, result.acknowledged)


def _missing(url: str, acknowledged: list[int]) -> int:
    """The number of acknowledged creates that are not stored once the journal is empty."""
    with connect(url) as connection:
        until = time.monotonic() + SETTLE_SECONDS
        while count(connection, "SELECT count(*) FROM afterwrite.writes") and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        stored = {title for (title,) in connection.execute("SELECT title FROM afterwrite.products")}
    return sum(create_title(f"{number:09d}") not in stored for number in acknowledged)


def _rows(results: dict[int, list[Result]], missing: int) -> list[Row]:
    rates = {number: median(result.per_second for result in some) for number, some in results.items()}
    rows = []
    for number, some in results.items():
        title = f"createProduct per second, {number} API process{'es' * (number > 1)}"
        ratio = "" if number == 1 else times(rates[number] / rates[1])
        p99 = median(result.percentile_ms(99) for result in some)
        rows.append(Row(title, whole(rates[number]), f"p99 {ms(p99)}", ratio))
    answered = sum(len(result.acknowledged) for some in results.values() for result in some)
    lost = f"{whole(missing)} of {whole(answered)}"
    return [*rows, Row("  acknowledged but not stored", lost, goal="0", reached=not missing)]
