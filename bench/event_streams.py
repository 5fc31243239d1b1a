"""Measures event streams and WebSockets: memory, the delay of an event, and queries beside idle streams."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import servers
from bench.load import Load, apply_load
from bench.plan import Plan
from bench.table import Row, median, ms, percentile, whole

STREAMS = 5_000
WATCHERS = 100
MEMORY_MB = 300
TOLD_MS = 50.0
KEPT = 0.95
IDLE = "subscription { tasksUpdated { id } }"
CREATE = 'mutation { createProduct(title: "Watched", price: 1) { write { id } } }'


def event_streams(plan: Plan) -> list[Row]:
    """Open STREAMS of each kind at once; WATCHERS of them wait for one write."""
    rows = []
    for kind, title in (("sse", "event streams"), ("ws", "WebSockets")):
        plan.say(f"{STREAMS:,} {title}")
        rows += _of_kind(plan, kind, title)
    return rows


def _of_kind(plan: Plan, kind: str, title: str) -> list[Row]:
    folder = plan.new_folder()
    with servers.afterwrite(folder) as server, servers.afterwrite(plan.new_folder()) as alone:
        for one in (server, alone):
            one.ask('mutation { createProductSync(title: "Asked", price: 1) { success } }')
        serving = _serving_process(server.process.pid)
        with _database_locked(folder):
            write = server.ask(CREATE)["createProduct"]["write"]["id"]
            watched = f'subscription {{ writeSettled(id: "{write}") {{ settledAt }} }}'
            clients = _clients(server.port, kind, watched)
            opened = json.loads(clients.stdout.readline())["open_seconds"]
        told = json.loads(clients.stdout.readline())
        settled = datetime.fromisoformat(told["text"].partition('"settledAt":"')[2].partition('"')[0])
        delays = [(at - settled.timestamp()) * 1_000 for at in told["times"]]
        memory = _resident_mb(serving)
        beside, without = _rates(plan, server.port, alone.port)
        clients.stdin.close()
        clients.wait()
    return [
        Row(f"{whole(STREAMS)} {title}: opened at once in", f"{opened:.1f} s"),
        Row("  memory of the process", f"{memory:.0f} MB", "", "", f"<= {MEMORY_MB} MB", memory <= MEMORY_MB),
        Row(
            f"  {WATCHERS} told of a write, after it was settled",
            f"p50 {ms(median(delays))}",
            f"last {ms(percentile(delays, 100))}",
            goal=f"<= {TOLD_MS:g} ms",
            reached=max(delays) <= TOLD_MS,
        ),
        Row(
            "  products per second beside them",
            whole(beside),
            f"{whole(without)} without",
            f"{beside / without:.2f}",
            f">= {KEPT:g}",
            beside / without >= KEPT,
        ),
    ]


def _clients(port: int, kind: str, watched: str) -> Any:
    command = [
        sys.executable,
        "-m",
        "bench.stream_clients",
        str(port),
        str(STREAMS),
        kind,
        IDLE,
        watched,
        str(WATCHERS),
    ]
    return subprocess.Popen(
        command, cwd=servers.PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )


def _rates(plan: Plan, port: int, other_port: int) -> tuple[float, float]:
    """Return the medians of products per second beside the streams and on a server without any."""
    rates: dict[int, list[float]] = {port: [], other_port: []}
    for number in range(plan.rounds):
        for one in (port, other_port) if number % 2 else (other_port, port):
            rates[one].append(apply_load(Load(one, "product", plan.seconds)).per_second)
    return median(rates[port]), median(rates[other_port])


@contextlib.contextmanager
def _database_locked(folder: Path) -> Iterator[None]:
    """Keep accepted writes from being applied."""
    with contextlib.closing(sqlite3.connect(folder / "products.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def _serving_process(parent: int) -> int:
    """Return the process that has most of the memory among the children."""
    tasks = Path(f"/proc/{parent}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return max(children, key=_resident_mb)


def _resident_mb(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000
