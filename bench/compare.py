"""Compares Afterwrite with `hello`, the plain version and an earlier commit."""

import contextlib
import sqlite3
from functools import partial
from pathlib import Path

from bench import catalogue, servers
from bench.compare_rows import Compared
from bench.earlier import checked_out
from bench.figures import CREATE, FEW, MANY, Step
from bench.plan import Plan
from bench.rounds import (
    CATALOGUE_SIZE,
    Contender,
    run_round,
    stop_under_load,
    wait_for_queue,
    wait_for_rows,
    wait_until_idle,
)
from bench.table import Row

AT_FEW = (Step("product", FEW), Step("allProducts", FEW), Step(CREATE, FEW))
STEPS = (*AT_FEW[:2], Step("product", MANY), Step("allProducts", MANY), AT_FEW[2])


def compare(plan: Plan) -> list[Row]:
    """Run the rounds and return the rows of the comparison."""
    ours = our_contender(plan, STEPS)
    before = None
    if plan.before:
        project = checked_out(plan.before, plan.new_folder())
        before = our_contender(plan, STEPS, plan.before, project)
    hello = Contender("hello", servers.hello, plan.new_folder(), STEPS, wait_until_idle, asked="hello")
    plain = Contender("plain", servers.plain, plain_catalogue(plan.new_folder()), AT_FEW, wait_for_rows)
    contenders = [one for one in (ours, before, hello, plain) if one]
    for number in range(plan.rounds):
        run_round(plan, number, contenders)
    for contender in (ours, plain):
        stop_under_load(plan, contender)
    earlier = before.figures if before else None
    return Compared(ours.figures, hello.figures, plain.figures, earlier, plan.before).rows()


def our_catalogue(folder: Path, count: int, project: Path = servers.PROJECT) -> Path:
    """Load `count` generated products into a new data folder with the project's init_db.py; return the folder."""
    folder.mkdir(parents=True)
    file = catalogue.write_jsonl(folder.parent / f"{folder.name}.jsonl", count)
    servers.load_file(folder, file, project=project)
    file.unlink()
    return folder


def our_contender(
    plan: Plan, steps: tuple[Step, ...], name: str = "Afterwrite", project: Path = servers.PROJECT
) -> Contender:
    """Return Afterwrite on a new catalogue, as it is in a working tree."""
    home = our_catalogue(plan.new_folder() / "catalogue", CATALOGUE_SIZE, project)
    return Contender(name, partial(servers.afterwrite_of, project), home, steps, wait_for_queue, has_receipts=True)


def plain_catalogue(folder: Path) -> Path:
    """Store the same products as the plain version and the peers do; return the folder."""
    with servers.plain(folder):
        pass
    with contextlib.closing(sqlite3.connect(folder / "products.db")) as database, database:
        database.executemany(
            "INSERT INTO products (title, price, description, category, image, rating_rate, rating_count)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            catalogue.plain_rows(CATALOGUE_SIZE),
        )
    return folder
