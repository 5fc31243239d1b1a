"""The command `python -m bench`: runs the measurements and prints the table."""

import argparse
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.bulk_load import load_file
from bench.catalogue_size import search_misses, start_to_ready
from bench.compare import compare
from bench.console_pages import console_pages
from bench.load import CLIENTS
from bench.plan import Plan
from bench.servers import THREADS
from bench.table import Row, table
from bench.task_rates import no_op_tasks
from bench.task_starts import creation_to_start
from bench.writes_alone import accept_to_applied, create_products
from bench.writes_beside_tasks import product_writes_beside_tasks


def tasks(plan: Plan) -> list[Row]:
    """Everything about durable tasks."""
    return [*no_op_tasks(plan), *creation_to_start(plan), *product_writes_beside_tasks(plan)]


MEASUREMENTS: dict[str, Callable[[Plan], list[Row]]] = {
    "compare": compare,
    "bulk": create_products,
    "delay": accept_to_applied,
    "load": load_file,
    "search": search_misses,
    "start": start_to_ready,
    "pages": console_pages,
    "tasks": tasks,
}


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table, and return 1 if a goal was missed."""
    options = _parser().parse_args(arguments)
    rounds, products = (1, 100_000) if options.quick else (3, 1_000_000)
    seconds = options.seconds or (1.0 if options.quick else 3.0)
    begin = time.perf_counter()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="afterwrite-bench-") as folder:
        plan = Plan(seconds, rounds, products, Path(folder))
        for name in options.only or MEASUREMENTS:
            rows += MEASUREMENTS[name](plan)
    python, sqlite = platform.python_version(), sqlite3.sqlite_version
    print(f"{CLIENTS} clients, one process of {THREADS} threads, Python {python}, SQLite {sqlite}, ", end="")
    print(f"{rounds} rounds of {seconds:g} s, {time.perf_counter() - begin:.0f} s in all\n")
    print(table(rows))
    return 1 if any(row.reached is False for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Afterwrite beside a plain version."
    )
    parser.add_argument("--seconds", type=float, help="seconds of load for each figure and round (default 3)")
    parser.add_argument(
        "--quick", action="store_true", help="one short round, a smaller catalogue to search in"
    )
    parser.add_argument(
        "--only", nargs="+", choices=MEASUREMENTS, metavar="NAME", help=", ".join(MEASUREMENTS)
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
