"""Measures init_db.py on a file of 100,000 products against raw `executemany` of the same rows."""

import contextlib
import sqlite3
import time
from pathlib import Path

from bench import catalogue, servers
from bench.plan import Plan
from bench.table import Row, median, whole

ROWS = 100_000
ROWS_PER_TRANSACTION = 1_000
LEAST_PER_SECOND, LEAST_SHARE = 200_000, 0.28
CHECK_EVERY = 10_007


def load_file(plan: Plan) -> list[Row]:
    """Load files in new processes, including interpreter start, and check every row.

    With --index-later, every row can be read and found when the process ends: searches scan rows that are not indexed
    yet. The load including the search index is measured too.
    """
    files = {
        "JSONL": catalogue.write_jsonl(plan.folder / "load.jsonl", ROWS),
        "JSON": catalogue.write_json(plan.folder / "load.json", ROWS),
        "CSV": catalogue.write_csv(plan.folder / "load.csv", ROWS),
    }
    rows = catalogue.plain_rows(ROWS)
    ours: dict[str, list[float]] = {name: [] for name in files}
    indexed, raw = [], []
    for number in range(plan.rounds):
        plan.say(f"init_db and raw executemany, {ROWS:,} rows, round {number + 1} of {plan.rounds}")
        for name, file in files.items():
            folder = plan.new_folder()
            ours[name].append(ROWS / servers.load_file(folder, file, "--index-later"))
        indexed.append(ROWS / servers.load_file(plan.new_folder(), files["JSONL"]))
        raw.append(ROWS / _raw_seconds(folder / "raw.db", rows))
        _check_found(folder)
    raw_rate = median(raw)
    least = min(LEAST_PER_SECOND, LEAST_SHARE * raw_rate)
    return [
        *(_row(name, median(rates), raw_rate, least) for name, rates in ours.items()),
        Row("  JSONL until the search index holds them too", whole(median(indexed))),
    ]


def _row(name: str, rate: float, raw_rate: float, least: float) -> Row:
    return Row(
        f"init_db.py, {name}, rows per second, {ROWS:,} rows, read and found",
        whole(rate),
        f"{whole(raw_rate)} raw executemany",
        f"{rate / raw_rate:.0%}",
        f">= {whole(least)}",
        rate >= least,
    )


def _raw_seconds(path: Path, rows: list[tuple[object, ...]]) -> float:
    """One table, no index, WAL: SQLite's fastest persistent insert."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute(
            "CREATE TABLE products (id INTEGER PRIMARY KEY, title, price, description, category, image, rate, count)"
        )
        insert = (
            "INSERT INTO products (title, price, description, category, image, rate, count)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        begin = time.perf_counter()
        for start in range(0, len(rows), ROWS_PER_TRANSACTION):
            with database:
                database.executemany(insert, rows[start : start + ROWS_PER_TRANSACTION])
        return time.perf_counter() - begin


def _check_found(folder: Path) -> None:
    """Start a server right after the load; check the row count, and search for a sample of rows."""
    find = "query Find($mark: String) { allProducts(search: $mark, first: 2) { title } }"
    with servers.afterwrite(folder) as server:
        total = server.ask("{ products(first: 1) { totalCount } }")["products"]["totalCount"]
        if total != ROWS:
            raise RuntimeError(f"init_db.py loaded {total} of {ROWS} rows")
        for number in (*range(0, ROWS, CHECK_EVERY), ROWS - 1):
            found = server.ask(find, mark=catalogue.title_mark(number))["allProducts"]
            if len(found) != 1:
                raise RuntimeError(f"row {number} was found {len(found)} times by its own title mark")
