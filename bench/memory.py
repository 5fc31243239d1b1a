"""Measures the memory of a server and the cost of its start, also beside another working tree.

``python -m bench.memory --before FOLDER`` measures both in turn. Linux only.
"""

import argparse
import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import servers
from bench.compare import our_catalogue
from bench.load import Load, apply_load
from bench.plan import Plan
from bench.table import Row, median, ms, table, whole

ROUNDS = 5
WRITES_PER_REQUEST = 1_000
READS = ("product", "allProducts")
_WAITING = "mutation ($products: [ProductInput!]!) { createProducts(products: $products) { success } }"
_PRODUCT = {"title": "One of very many", "price": 12.5, "category": "Things"}


@dataclass
class Tree:
    """A working tree and what was measured of it: figures by name, one for each round."""

    project: Path
    figures: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def note(self, title: str, pid: int) -> None:
        """Note the memory of a server: of all its processes."""
        for kind, size in memory_kib(pid).items():
            self.figures[f"{title}, {kind}"].append(size)


def memory(plan: Plan) -> list[Row]:
    """Measure this working tree alone."""
    return measured(plan, [Tree(servers.PROJECT)])


def measured(plan: Plan, trees: list[Tree]) -> list[Row]:
    """Measure the trees in turn, round by round; the first round, which compiles the sources, does not count."""
    products = our_catalogue(plan.folder / "memory", plan.search_products)
    for number in range(plan.rounds + 1):
        plan.say(f"memory and start, round {number} of {plan.rounds}")
        for tree in trees:
            _round(plan, tree, products)
            if number == 0:
                tree.figures.clear()
    for tree in trees:  # once: the figure hardly varies, and each takes half a minute
        plan.say(f"a backlog of {plan.finished_tasks:,} writes")
        _backlog(plan, tree)
    return [_row(name, trees) for name in trees[0].figures]


def memory_kib(pid: int) -> dict[str, int]:
    """The memory of a process and its descendants in KiB: RSS, and PSS, which counts a shared page once."""
    sums = {"RSS": 0, "PSS": 0}
    for one in _tree(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii").splitlines():
            kind, _, rest = line.partition(":")
            if kind.upper() in sums:
                sums[kind.upper()] += int(rest.split()[0])
    return sums


def _round(plan: Plan, tree: Tree, products: Path) -> None:
    tree.figures["import app, processor time"].append(_import_ms(plan, tree.project))
    for server in ("granian", "gunicorn"):
        with _serving(plan, tree, ["app.py"], products, SERVER=server) as (process, _):
            tree.note(f"idle under {server}", process.pid)
    with _serving(plan, tree, ["dev.py", "up"], products, SERVER="granian") as (process, port):
        for name in READS:
            apply_load(Load(port, name, plan.seconds, catalogue_size=plan.search_products))
        tree.note(f"after reads of {plan.search_products:,} products", process.pid)


def _backlog(plan: Plan, tree: Tree) -> None:
    """Let writes wait, because another process holds the lock of the product database."""
    folder = plan.new_folder()
    with _serving(plan, tree, ["app.py"], folder, SERVER="granian") as (process, port):
        server = servers.Server(port, folder, process, 0.0)
        with contextlib.closing(sqlite3.connect(folder / "products.db", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            for _ in range(plan.finished_tasks // WRITES_PER_REQUEST):
                server.ask(_WAITING, products=[_PRODUCT] * WRITES_PER_REQUEST)
            tree.note(f"with {plan.finished_tasks:,} waiting writes", process.pid)
        for pid in _tree(process.pid):  # a stop would apply them all
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def _serving(
    plan: Plan, tree: Tree, program: list[str], folder: Path, **settings: str
) -> "Iterator[tuple[subprocess.Popen[bytes], int]]":
    """A server of a tree once it is ready; notes the time and the processor time until then."""
    port = servers.free_port()
    own = {"HOST": "127.0.0.1", "PORT": str(port), "DATA_DIR": str(folder), "LOG_LEVEL": "warning", "ENV_FILE": "off"}
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *program], cwd=tree.project, env=_environment(plan) | own | settings, stdout=subprocess.DEVNULL
    )
    try:
        while not servers.answers(port, "/ready"):
            if process.poll() is not None or time.perf_counter() - begin > servers.START_SECONDS:
                raise RuntimeError(f"{program} of {tree.project} does not serve")
            time.sleep(0.005)
        seconds = time.perf_counter() - begin
        title = f"{' '.join(program)} under {settings['SERVER']}"
        tree.figures[f"{title} to ready"].append(seconds * 1_000)
        tree.figures[f"{title} to ready, processor time"].append(_used_seconds(process.pid) * 1_000)
        yield process, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(servers.STOP_SECONDS)


def _import_ms(plan: Plan, project: Path) -> float:
    before = _waited_seconds()
    subprocess.run([sys.executable, "-c", "import app"], cwd=project, env=_environment(plan), check=True)
    return (_waited_seconds() - before) * 1_000


def _environment(plan: Plan) -> dict[str, str]:
    """Compiled sources are kept, as users keep them, in a folder of the run."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return given | {"PYTHONPYCACHEPREFIX": str(plan.folder / "compiled")}


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(one for child in children for one in _tree(int(child)))]


def _used_seconds(pid: int) -> float:
    """User and system time of a process, its descendants, and those that it has waited for."""
    fields = [Path(f"/proc/{one}/stat").read_text(encoding="utf-8").rpartition(")")[2].split() for one in _tree(pid)]
    return sum(int(text) for one in fields for text in one[11:15]) / os.sysconf("SC_CLK_TCK")


def _waited_seconds() -> float:
    waited = resource.getrusage(resource.RUSAGE_CHILDREN)
    return waited.ru_utime + waited.ru_stime


def _row(name: str, trees: list[Tree]) -> Row:
    form: Any = (lambda kib: f"{kib / 1024:.1f} MiB") if name.endswith(("RSS", "PSS")) else ms
    ours, *others = [median(tree.figures[name]) for tree in trees]
    if not others:
        return Row(name, form(ours))
    return Row(name, form(ours), f"{form(others[0])} before", f"{ours / others[0]:.2f}")


def main() -> None:
    """Measure this working tree and, with ``--before``, another one."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--before", metavar="FOLDER", type=Path, help="a working tree to compare with")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of each kind of read")
    parser.add_argument("--products", type=int, default=1_000_000)
    parser.add_argument("--backlog", type=int, default=1_000_000, help="the number of waiting writes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="afterwrite-bench-") as folder:
        plan = Plan(given.seconds, given.rounds, given.products, given.backlog, Path(folder))
        trees = [Tree(servers.PROJECT), *([Tree(given.before)] if given.before else [])]
        print(f"{whole(given.rounds)} rounds, Python {sys.version.split()[0]}\n\n{table(measured(plan, trees))}")


if __name__ == "__main__":
    main()
