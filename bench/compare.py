"""Compares Afterwrite, the plain version and `hello`: reads, durable creates, lost writes."""

import contextlib
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench import catalogue, servers
from bench.compiled_execution import compiled_execution
from bench.load import Load, Result, apply_load
from bench.plan import Plan
from bench.table import Row, median, ms, times, whole
from bench.workloads import create_title

CATALOGUE_SIZE = 5_000
WORKLOADS = ("product", "allProducts", "createProduct")
CREATE_FASTER, READ_FASTER, ACCEPT_P99_MS = 4, 5, 25
# The plain version's connections wait up to 5 s for a lock: a row count unchanged for longer is final.
STABLE_SECONDS, SETTLE_SECONDS = 6.0, 30.0

Start = Callable[[Path], contextlib.AbstractContextManager[servers.Server]]


@dataclass
class Figures:
    """The results of one app by workload, and the number of acknowledged creates that were lost."""

    results: dict[str, list[Result]] = field(default_factory=dict)
    acknowledged: int = 0
    lost: int = 0
    acknowledged_at_stop: int = 0
    lost_at_stop: int = 0

    def add(self, name: str, result: Result) -> None:
        """Add the result of one round."""
        self.results.setdefault(name, []).append(result)

    def rate(self, name: str) -> float:
        """Return the median rate of the rounds."""
        return median(result.per_second for result in self.results[name])

    def percentile_ms(self, name: str, percent: float) -> float:
        """Return the median over the rounds of this latency percentile."""
        return median(result.percentile_ms(percent) for result in self.results[name])


def compare(plan: Plan) -> list[Row]:
    """Run the rounds, with the apps in turns, and return the rows of the comparison."""
    ours_home = _our_catalogue(plan.folder / "ours-catalogue")
    plain_home = _plain_catalogue(plan.folder / "plain-catalogue")
    ours, plain, hello = Figures(), Figures(), Figures()
    for number in range(plan.rounds):
        plan.say(f"round {number + 1} of {plan.rounds}: Afterwrite, plain, hello")
        _round(plan, servers.afterwrite, ours_home, ours, _wait_for_queue)
        _round(plan, servers.plain, plain_home, plain, _wait_for_rows)
        with servers.hello(plan.folder / "hello") as server:
            hello.add("hello", apply_load(Load(server.port, "hello", plan.seconds)))
    _stop_under_load(plan, servers.afterwrite, ours_home, ours)
    _stop_under_load(plan, servers.plain, plain_home, plain)
    return [*_rows(ours, plain, hello), *compiled_execution(plan, ours_home, CATALOGUE_SIZE)]


def our_catalogue(folder: Path, count: int) -> Path:
    """Load `count` generated products into a new data folder with init_db.py; return the folder."""
    folder.mkdir(parents=True)
    file = catalogue.write_jsonl(folder.parent / f"{folder.name}.jsonl", count)
    servers.load_file(folder, file)
    file.unlink()
    return folder


def _our_catalogue(folder: Path) -> Path:
    return our_catalogue(folder, CATALOGUE_SIZE)


def _plain_catalogue(folder: Path) -> Path:
    with servers.plain(folder):
        pass
    with contextlib.closing(sqlite3.connect(folder / "products.db")) as database, database:
        database.executemany(
            "INSERT INTO products (title, price, description, category, image, rating_rate, rating_count)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            catalogue.plain_rows(CATALOGUE_SIZE),
        )
    return folder


def _round(plan: Plan, start: Start, home: Path, figures: Figures, settle: Callable[[servers.Server], None]) -> None:
    folder = plan.copy_of(home)
    with start(folder) as server:
        for name in WORKLOADS:
            result = apply_load(Load(server.port, name, plan.seconds, catalogue_size=CATALOGUE_SIZE))
            figures.add(name, result)
            if result.bad:
                print(f"{name}: {result.bad} bad answers; the first: {result.first_bad}", file=sys.stderr)
        settle(server)
    created = figures.results["createProduct"][-1].acknowledged
    figures.acknowledged += len(created)
    figures.lost += _missing(folder, created)
    shutil.rmtree(folder)


def _stop_under_load(plan: Plan, start: Start, home: Path, figures: Figures) -> None:
    """Send SIGTERM right after the last answer, as a restart or a deployment does."""
    folder = plan.copy_of(home)
    with start(folder) as server:
        created = apply_load(Load(server.port, "createProduct", plan.seconds / 2)).acknowledged
        server.stop()
    figures.acknowledged_at_stop = len(created)
    figures.lost_at_stop = _missing(folder, created)
    shutil.rmtree(folder)


def _wait_for_queue(server: servers.Server) -> None:
    until = time.perf_counter() + servers.STOP_SECONDS
    while server.ask("{ queue { depth } }")["queue"]["depth"] and time.perf_counter() < until:
        time.sleep(0.05)


def _wait_for_rows(server: servers.Server) -> None:
    """Wait until the row count is stable: the plain version cannot report when it is done."""
    until, still_since, last = time.perf_counter() + SETTLE_SECONDS, time.perf_counter(), -1
    while time.perf_counter() < min(until, still_since + STABLE_SECONDS):
        count = len(_stored_titles(server.folder))
        if count != last:
            last, still_since = count, time.perf_counter()
        time.sleep(0.1)


def _missing(folder: Path, acknowledged: list[int]) -> int:
    stored = _stored_titles(folder)
    return sum(create_title(f"{number:09d}") not in stored for number in acknowledged)


def _stored_titles(folder: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(folder / "products.db")) as database:
        return {title for (title,) in database.execute("SELECT title FROM products WHERE title GLOB 'Bench*'")}


def _rows(ours: Figures, plain: Figures, hello: Figures) -> list[Row]:
    p99 = ours.percentile_ms("createProduct", 99)
    return [
        _rate_row("createProduct per second, on disk when answered", "createProduct", CREATE_FASTER, ours, plain),
        _latency_row("  its p50", 50, ours, plain),
        Row(
            "  its p99: an accept under load",
            ms(p99),
            f"{ms(plain.percentile_ms('createProduct', 99))} plain",
            goal=f"< {ACCEPT_P99_MS} ms",
            reached=p99 < ACCEPT_P99_MS,
        ),
        _lost_row("  acknowledged but not stored", ours, plain, at_stop=False),
        _lost_row("  the same, SIGTERM after the last answer", ours, plain, at_stop=True),
        _rate_row("product(productId) per second", "product", READ_FASTER, ours, plain),
        _rate_row("allProducts(first: 10) per second", "allProducts", READ_FASTER, ours, plain),
        Row("Flask `hello` per second", "", f"{whole(hello.rate('hello'))} hello"),
    ]


def _rate_row(title: str, name: str, least: int, ours: Figures, plain: Figures) -> Row:
    ratio = ours.rate(name) / plain.rate(name)
    beside = f"{whole(plain.rate(name))} plain"
    return Row(title, whole(ours.rate(name)), beside, times(ratio), f">= {least} x", ratio >= least)


def _latency_row(title: str, percent: float, ours: Figures, plain: Figures) -> Row:
    theirs = plain.percentile_ms("createProduct", percent)
    return Row(title, ms(ours.percentile_ms("createProduct", percent)), f"{ms(theirs)} plain")


def _lost_row(title: str, ours: Figures, plain: Figures, *, at_stop: bool) -> Row:
    def share(figures: Figures) -> str:
        lost = figures.lost_at_stop if at_stop else figures.lost
        of = figures.acknowledged_at_stop if at_stop else figures.acknowledged
        return f"{whole(lost)} of {whole(of)} ({lost / of:.0%})"

    nothing = not (ours.lost_at_stop if at_stop else ours.lost)
    return Row(title, share(ours), f"{share(plain)} plain", goal="0", reached=nothing)
