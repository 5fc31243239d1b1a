"""The rounds of a comparison: several servers, each loaded in turn, and what they lose at a stop and at a kill."""

import contextlib
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bench.figures import CREATE, FEW, Figures, Lost, Measured, Step
from bench.load import Load, Result, apply_load
from bench.plan import Plan
from bench.servers import Server
from bench.workloads import create_title

CATALOGUE_SIZE = 5_000
# The plain version's connections wait up to 5 s for a lock: a row count unchanged for longer is final.
STABLE_SECONDS, SETTLE_SECONDS = 6.0, 30.0
IDLE_SHARE, IDLE_SECONDS = 0.1, 0.2  # a server is idle if it uses less than this share of a core for this long
RECEIPTS = """query Receipts($after: String) { writes(first: 100, after: $after) {
  nodes { acceptedAt settledAt } pageInfo { hasNextPage endCursor } } }"""


@dataclass
class Contender:
    """One of the compared servers: how it starts, on a copy of which data folder, and what it is asked.

    `settle` waits until everything that it has acknowledged is stored. With `asked`, every step has that workload.
    """

    name: str
    start: Callable[[Path], AbstractContextManager[Server]]
    home: Path
    steps: Sequence[Step]
    settle: Callable[[Server], None]
    asked: str = ""
    has_receipts: bool = False
    figures: Figures = field(default_factory=Figures)


def run_round(plan: Plan, number: int, contenders: Sequence[Contender]) -> None:
    """Start every server on a copy of its data, load each in turn, step by step, and count what was lost.

    Every other round runs in reverse order, so that no server always goes first.
    """
    names = dict.fromkeys(contender.name for contender in contenders)
    plan.say(f"round {number + 1} of {plan.rounds}: {', '.join(names)}")
    folders = [plan.copy_of(contender.home) for contender in contenders]
    pairs = list(zip(contenders, folders, strict=True))[:: 1 if number % 2 == 0 else -1]
    with contextlib.ExitStack() as stack:
        running = [(contender, stack.enter_context(contender.start(folder))) for contender, folder in pairs]
        for contender, server in running:
            wait_until_idle(server)
            contender.figures.started_bytes.append(server.resident_bytes())
        for step in dict.fromkeys(step for contender in contenders for step in contender.steps):
            for contender, server in running:
                if step in contender.steps:
                    _measure(plan, step, contender, server)
        for contender, server in running:
            contender.figures.loaded_bytes.append(server.resident_bytes())
    for contender, folder in pairs:
        created = contender.figures.measured.get(Step(CREATE, FEW))
        if created and not contender.asked:
            contender.figures.lost += _lost(folder, created[-1].result)
        shutil.rmtree(folder)


def _measure(plan: Plan, step: Step, contender: Contender, server: Server) -> None:
    workload = contender.asked or step.workload
    before = server.cpu_seconds()
    result = apply_load(Load(server.port, workload, plan.seconds, clients=step.clients, catalogue_size=CATALOGUE_SIZE))
    if step.workload == CREATE:
        contender.settle(server)
    wait_until_idle(server)
    contender.figures.add(step, Measured(result, server.cpu_seconds() - before))
    if result.bad:
        print(f"{contender.name}, {workload}: {result.bad} bad answers: {result.first_bad}", file=sys.stderr)
    if step.workload == CREATE and contender.has_receipts:
        contender.figures.delays_ms.append(_delays_ms(server))


def stop_under_load(plan: Plan, contender: Contender) -> None:
    """Send SIGTERM right after the last answer, as a restart or a deployment does."""
    folder = plan.copy_of(contender.home)
    with contender.start(folder) as server:
        result = apply_load(Load(server.port, CREATE, plan.seconds / 2))
        server.stop()
    contender.figures.lost_at_stop = _lost(folder, result)
    shutil.rmtree(folder)


def kill_under_load(plan: Plan, contender: Contender) -> None:
    """Send SIGKILL in the midst of creates, start again, and count what was acknowledged and is not stored."""
    folder = plan.copy_of(contender.home)
    with contender.start(folder) as server, ThreadPoolExecutor() as pool:
        load = Load(server.port, CREATE, plan.seconds)
        loading = pool.submit(apply_load, load)
        time.sleep(load.warm_seconds + load.seconds / 2)
        server.kill()
        result = loading.result()
    with contender.start(folder) as server:
        contender.settle(server)
    contender.figures.lost_at_kill += _lost(folder, result)
    shutil.rmtree(folder)


def wait_until_idle(server: Server) -> None:
    """Wait until the server has nothing left to do, so that its work slows no other one."""
    until, used = time.perf_counter() + SETTLE_SECONDS, float("inf")
    while used > IDLE_SHARE * IDLE_SECONDS and time.perf_counter() < until:
        before = server.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        used = server.cpu_seconds() - before


def wait_for_queue(server: Server) -> None:
    until = time.perf_counter() + SETTLE_SECONDS
    while server.ask("{ queue { depth } }")["queue"]["depth"] and time.perf_counter() < until:
        time.sleep(0.05)


def wait_for_rows(server: Server) -> None:
    """Wait until the row count is stable: the plain version cannot report when it is done."""
    until, still_since, last = time.perf_counter() + SETTLE_SECONDS, time.perf_counter(), -1
    while time.perf_counter() < min(until, still_since + STABLE_SECONDS):
        count = len(_stored_titles(server.folder))
        if count != last:
            last, still_since = count, time.perf_counter()
        time.sleep(0.1)


def _delays_ms(server: Server) -> list[float]:
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
