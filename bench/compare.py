"""Compares Afterwrite with `hello`, the plain version and an earlier commit, in rounds of turns."""

import contextlib
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from bench import catalogue, servers
from bench.compare_rows import Compared
from bench.earlier import checked_out
from bench.figures import CREATE, FEW, MANY, Figures, Lost, Measured, Step
from bench.load import Load, Result, apply_load
from bench.plan import Plan
from bench.table import Row
from bench.workloads import create_title

CATALOGUE_SIZE = 5_000
AT_FEW = (Step("product", FEW), Step("allProducts", FEW), Step(CREATE, FEW))
STEPS = (*AT_FEW[:2], Step("product", MANY), Step("allProducts", MANY), AT_FEW[2])
# The plain version's connections wait up to 5 s for a lock: a row count unchanged for longer is final.
STABLE_SECONDS, SETTLE_SECONDS = 6.0, 30.0
IDLE_SHARE, IDLE_SECONDS = 0.1, 0.2  # a server is idle if it uses less than this share of a core for this long
RECEIPTS = """query Receipts($after: String) { writes(first: 100, after: $after) {
  nodes { acceptedAt settledAt } pageInfo { hasNextPage endCursor } } }"""

Start = Callable[[Path], contextlib.AbstractContextManager[servers.Server]]


@dataclass
class Contender:
    """One of the compared servers: how it starts, on a copy of which data folder, and what it is asked."""

    name: str
    start: Start
    home: Path
    settle: Callable[[servers.Server], None]
    steps: tuple[Step, ...] = STEPS
    is_ours: bool = False
    figures: Figures = field(default_factory=Figures)


def compare(plan: Plan) -> list[Row]:
    """Run the rounds and return the rows of the comparison."""
    ours = _our_contender(plan, "Afterwrite", servers.PROJECT)
    before = _our_contender(plan, plan.before, checked_out(plan.before, plan.new_folder())) if plan.before else None
    hello = Contender("hello", servers.hello, plan.new_folder(), wait_until_idle)
    plain = Contender("plain", servers.plain, _plain_catalogue(plan.new_folder()), _wait_for_rows, AT_FEW)
    contenders = [one for one in (ours, before, hello, plain) if one]
    for number in range(plan.rounds):
        plan.say(f"round {number + 1} of {plan.rounds}: {', '.join(contender.name for contender in contenders)}")
        _round(plan, contenders if number % 2 == 0 else contenders[::-1])
    for contender in (ours, plain):
        _stop_under_load(plan, contender)
    earlier = before.figures if before else None
    return Compared(ours.figures, hello.figures, plain.figures, earlier, plan.before).rows()


def our_catalogue(folder: Path, count: int, project: Path = servers.PROJECT) -> Path:
    """Load `count` generated products into a new data folder with the project's init_db.py; return the folder."""
    folder.mkdir(parents=True)
    file = catalogue.write_jsonl(folder.parent / f"{folder.name}.jsonl", count)
    servers.load_file(folder, file, project=project)
    file.unlink()
    return folder


def _our_contender(plan: Plan, name: str, project: Path) -> Contender:
    home = our_catalogue(plan.new_folder() / "catalogue", CATALOGUE_SIZE, project)
    return Contender(name, partial(servers.afterwrite_of, project), home, _wait_for_queue, is_ours=True)


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


def _round(plan: Plan, contenders: list[Contender]) -> None:
    """Start every server on a copy of its data, measure each step on one after the other, and count what was lost."""
    folders = [plan.copy_of(contender.home) for contender in contenders]
    pairs = list(zip(contenders, folders, strict=True))
    with contextlib.ExitStack() as stack:
        running = [(contender, stack.enter_context(contender.start(folder))) for contender, folder in pairs]
        for _, server in running:
            wait_until_idle(server)
        for step in STEPS:
            for contender, server in running:
                if step in contender.steps:
                    _measure(plan, step, contender, server)
    for contender, folder in pairs:
        if contender.name != "hello":
            contender.figures.lost += _lost(folder, contender.figures.measured[Step(CREATE, FEW)][-1].result)
        shutil.rmtree(folder)


def _measure(plan: Plan, step: Step, contender: Contender, server: servers.Server) -> None:
    workload = "hello" if contender.name == "hello" else step.workload
    before = server.cpu_seconds()
    result = apply_load(Load(server.port, workload, plan.seconds, clients=step.clients, catalogue_size=CATALOGUE_SIZE))
    if step.workload == CREATE:
        contender.settle(server)
    wait_until_idle(server)
    contender.figures.add(step, Measured(result, server.cpu_seconds() - before))
    if result.bad:
        print(f"{contender.name}, {workload}: {result.bad} bad answers: {result.first_bad}", file=sys.stderr)
    if step.workload == CREATE and contender.is_ours:
        contender.figures.delays_ms.append(_delays_ms(server))


def _stop_under_load(plan: Plan, contender: Contender) -> None:
    """Send SIGTERM right after the last answer, as a restart or a deployment does."""
    folder = plan.copy_of(contender.home)
    with contender.start(folder) as server:
        result = apply_load(Load(server.port, CREATE, plan.seconds / 2))
        server.stop()
    contender.figures.lost_at_stop = _lost(folder, result)
    shutil.rmtree(folder)


def wait_until_idle(server: servers.Server) -> None:
    """Wait until the server has nothing left to do, so that its work slows no other one."""
    until, used = time.perf_counter() + SETTLE_SECONDS, float("inf")
    while used > IDLE_SHARE * IDLE_SECONDS and time.perf_counter() < until:
        before = server.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        used = server.cpu_seconds() - before


def _wait_for_queue(server: servers.Server) -> None:
    until = time.perf_counter() + SETTLE_SECONDS
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


def _delays_ms(server: servers.Server) -> list[float]:
    """Return the milliseconds from accepted to applied, of every receipt."""
    delays, page = [], {"hasNextPage": True, "endCursor": None}
    while page["hasNextPage"]:
        writes = server.ask(RECEIPTS, after=page["endCursor"])["writes"]
        delays += [_delay_ms(receipt) for receipt in writes["nodes"]]
        page = writes["pageInfo"]
    return delays


def _delay_ms(receipt: dict[str, str]) -> float:
    accepted, settled = (datetime.fromisoformat(receipt[name]) for name in ("acceptedAt", "settledAt"))
    return (settled - accepted).total_seconds() * 1_000


def _lost(folder: Path, created: Result) -> Lost:
    """Return how many of the acknowledged creates are not in the stopped server's database."""
    stored = _stored_titles(folder)
    missing = sum(create_title(f"{number:09d}") not in stored for number in created.acknowledged)
    return Lost(missing, len(created.acknowledged))


def _stored_titles(folder: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(folder / "products.db")) as database:
        return {title for (title,) in database.execute("SELECT title FROM products WHERE title GLOB 'Bench*'")}
