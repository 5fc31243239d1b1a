"""The benchmark: `python -m bench` runs the measurements and prints a table."""

import argparse
import os
import platform
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from afterwrite.base.utf8 import use_utf8
from bench.bulk_load import load_file
from bench.catalogue_size import searches, start_to_ready
from bench.compare import compare
from bench.compiled_execution import compiled_execution
from bench.console_pages import console_pages
from bench.documents import cold_documents
from bench.earlier import commit
from bench.event_streams import event_streams
from bench.load import CLIENTS
from bench.many.claims import claim_cost
from bench.many.creates import durable_creates
from bench.many.databases import server_version
from bench.many.drain_rates import backlog_rates
from bench.many.starts import start_delays
from bench.memory import memory
from bench.peers.compare_peers import compare_peers
from bench.plan import Plan
from bench.servers import THREADS
from bench.stack.consumer_rate import consumer_rate
from bench.stack.notifier_rates import notifier_rates
from bench.stack.places import broker_version
from bench.stack.run_starts import run_starts
from bench.stack.webhook_delays import webhook_delays
from bench.table import Row, table
from bench.task_rates import no_op_tasks
from bench.task_starts import creation_to_start
from bench.writes_alone import create_products
from bench.writes_beside_tasks import product_writes_beside_tasks
from devkit.airflow import VERSION as AIRFLOW_VERSION


def tasks(plan: Plan) -> list[Row]:
    """All measurements of durable tasks."""
    return [*no_op_tasks(plan), *creation_to_start(plan), *product_writes_beside_tasks(plan)]


MEASUREMENTS: dict[str, Callable[[Plan], list[Row]]] = {
    "compare": compare,
    "compiled": compiled_execution,
    "bulk": create_products,
    "load": load_file,
    "search": searches,
    "start": start_to_ready,
    "memory": memory,
    "pages": console_pages,
    "documents": cold_documents,
    "streams": event_streams,
    "tasks": tasks,
}
ON_POSTGRES: dict[str, Callable[[Plan], list[Row]]] = {
    "creates": durable_creates,
    "tasks": backlog_rates,
    "starts": start_delays,
    "claims": claim_cost,
}
ON_STACK: dict[str, Callable[[Plan], list[Row]]] = {
    "runs": run_starts,
    "webhooks": webhook_delays,
    "consumer": consumer_rate,
    "notifier": notifier_rates,
}
ON_PEERS: dict[str, Callable[[Plan], list[Row]]] = {"peers": compare_peers}


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table, and return 1 if a goal was missed."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that started servers are stopped
    measurements = _measurements(options)
    rounds, many = (1, 100_000) if options.quick else (5, 1_000_000)
    rounds = options.rounds or rounds
    seconds = options.seconds or (1.0 if options.quick else 2.0)
    begin = time.perf_counter()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="afterwrite-bench-") as folder:
        plan = Plan(seconds, rounds, many, many, Path(folder), options.before or "")
        for name in options.only or measurements:
            rows += measurements[name](plan)
    print(f"{_circumstances(options)}, {rounds} rounds of {seconds:g} s, ", end="")
    print(f"{time.perf_counter() - begin:.0f} s in all\n")
    print(table(rows))
    return 1 if any(row.reached is False for row in rows) else 0


def _circumstances(options: argparse.Namespace) -> str:
    python, cores = f"Python {platform.python_version()}", f"{os.cpu_count()} cores for all"
    if options.stack:
        servers = f"PostgreSQL {server_version()}, RabbitMQ {broker_version()}, Airflow {AIRFLOW_VERSION}"
        return f"{cores}, {python}, {servers}"
    if options.postgres:
        return f"{CLIENTS} clients, {cores}, {python}, PostgreSQL {server_version()}"
    return f"{CLIENTS} clients, one process of {THREADS} threads, {python}, SQLite {sqlite3.sqlite_version}"


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    names = _measurements(options)
    if unknown := [name for name in options.only or () if name not in names]:
        parser.error(f"--only names {unknown[0]!r}: choose from {', '.join(names)}")
    return options


def _measurements(options: argparse.Namespace) -> dict[str, Callable[[Plan], list[Row]]]:
    if options.stack:
        return ON_STACK
    if options.peers:
        return ON_PEERS
    return ON_POSTGRES if options.postgres else MEASUREMENTS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare Afterwrite with a plain version.")
    parser.add_argument("--seconds", type=float, help="seconds of load for each figure and round (default 2)")
    parser.add_argument("--rounds", type=int, help="rounds of each figure (default 5)")
    parser.add_argument(
        "--before", metavar="COMMIT", type=commit, help="compare measures this commit too, in the same rounds"
    )
    parser.add_argument("--quick", action="store_true", help="one short round with smaller tables")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--postgres",
        action="store_true",
        help="measure many processes on PostgreSQL instead (TEST_DATABASE_URL, or 127.0.0.1:5432), against Celery "
        "on RabbitMQ (TEST_AMQP_URL, or 127.0.0.1:5672)",
    )
    where.add_argument(
        "--stack",
        action="store_true",
        help="measure the path from Afterwrite to a new Airflow and back instead; uses PostgreSQL and RabbitMQ as "
        "above, and Redis (TEST_REDIS_URL, or 127.0.0.1:6379)",
    )
    where.add_argument(
        "--peers",
        action="store_true",
        help="measure other GraphQL servers for Python beside it instead; installs them into .venv-peers",
    )
    names = f"{', '.join(MEASUREMENTS)}; with --postgres {', '.join(ON_POSTGRES)}; with --stack {', '.join(ON_STACK)}"
    parser.add_argument("--only", nargs="+", metavar="NAME", help=names)
    return parser


if __name__ == "__main__":
    use_utf8()
    sys.exit(main(sys.argv[1:]))
