"""References and tasks of operations through kills: none to what is not there, no task missing or double."""

import contextlib
import http.client
import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from many_processes import SMALL, Fleet
from server_process import Client, ServerProcess, wait_until
from write_load import PARCELS_PATH

PROGRAM = ("tests/support/library_app.py",)
KILLS, CLIENTS, SEED = 20, 4, 20261130
REFERENCES = (("books", "author_id", "authors"), ("books", "whole_id", "books"), ("loans", "book_id", "books"))
PER_KILL = 60  # answers between two kills

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")


class Load:
    """What all clients know: ids of records that were there once, and how many answers came."""

    def __init__(self) -> None:
        self.ids: dict[str, list[str]] = {"author": [], "book": [], "loan": []}
        self.answers, self.stopped = 0, False
        self._lock = threading.Lock()

    def note(self, kind: str, record_id: str | None) -> None:
        """One more answer, perhaps with a record."""
        with self._lock:
            self.answers += 1
            if record_id is not None:
                self.ids[kind].append(record_id)

    def has_answers(self, count: int) -> bool:
        """Whether so many answers came."""
        return self.answers >= count


def _work(load: Load, servers: Sequence[ServerProcess], chance: random.Random) -> None:
    """Write until the load is stopped, to any server that answers."""
    while not load.stopped:
        gone = contextlib.suppress(OSError, http.client.HTTPException, ValueError)
        with gone, contextlib.closing(chance.choice(servers).client()) as client:
            while not load.stopped:
                _write(load, client, chance)


def _write(load: Load, client: Client, chance: random.Random) -> None:
    kind, call = _call(load, chance)
    answer = client.execute(f"mutation {{ done: {call} {{ success write {{ recordId }} }} }}")
    done = (answer.get("data") or {}).get("done") or {}
    if done.get("success"):
        made = call.startswith("create")
        load.note(kind, done["write"]["recordId"] if made else None)


def _call(load: Load, chance: random.Random) -> tuple[str, str]:
    """A mutation on records that may be there, may be gone, or are only queued."""

    def one(kind: str) -> str:
        return chance.choice(load.ids[kind][-30:] or ["1"])

    name = f"{chance.random():.12f}"
    match chance.choices(range(7), (2, 5, 5, 8, 2, 2, 1))[0]:
        case 0:
            return "author", f'createAuthor(name: "{name}")'
        case 1:
            whole = f", wholeId: {one('book')}" if chance.random() < 0.5 else ""
            return "book", f'createBook(title: "{name}", authorId: {one("author")}{whole})'
        case 2:
            return "loan", f'createLoan(bookId: {one("book")}, reader: "{name}")'
        case 3:
            return "loan", f"remindLoan(loanId: {one('loan')}, times: {chance.randint(1, 3)})"
        case 4:
            return "book", f"deleteBook(bookId: {one('book')})"
        case 5:
            return "loan", f"deleteLoan(loanId: {one('loan')})"
    return "author", f"deleteAuthor(authorId: {one('author')})"


def _run(servers: Sequence[ServerProcess]) -> None:
    load, chance = Load(), random.Random(SEED)
    with ThreadPoolExecutor(CLIENTS) as pool:
        working = [pool.submit(_work, load, servers, random.Random(f"{SEED} {number}")) for number in range(CLIENTS)]
        try:
            for kill in range(1, KILLS + 1):
                wait_until(partial(load.has_answers, kill * PER_KILL), 120)
                victim = chance.choice(servers)
                victim.kill()
                victim.start()
        finally:
            load.stopped = True
        for one in working:
            one.result(60)
    wait_until(lambda: servers[0].query("{ queue { depth } }")["queue"]["depth"] == 0, 120)


def _check(rows: Callable[[str], list[Any]]) -> None:
    """Compare the records, the ledger and the tasks with each other."""
    for table, column, target in (
        ("books", "author_id", "authors"),
        ("books", "whole_id", "books"),
        ("loans", "book_id", "books"),
    ):
        there = f"SELECT 1 FROM {target} AS t WHERE t.id = r.{column}"
        dangling = f"SELECT count(*) FROM {table} AS r WHERE r.{column} IS NOT NULL AND NOT EXISTS ({there})"
        assert rows(dangling) == [(0,)], (table, column)
    ledger = rows("SELECT id, record_id, arguments, status FROM ledger WHERE operation = 'REMIND'")
    expected, reminders = Counter[str](), Counter[int]()
    for write_id, record_id, arguments, status in ledger:
        if status == "APPLIED":
            times = json.loads(arguments).get("times", 1)
            expected[f"write {write_id}"] += times
            reminders[record_id] += times
    assert expected, "no operation was applied"
    found = Counter(name for (name,) in rows("SELECT correlation_id FROM tasks"))
    assert found == expected
    assert {code for (code,) in rows("SELECT DISTINCT error_code FROM ledger WHERE status = 'FAILED'")} >= {
        "REFERENCED",
        "REFERENCE_NOT_FOUND",
        "ENOUGH_REMINDERS",
    }
    for loan_id, count in rows("SELECT id, reminders FROM loans"):
        assert count == reminders[loan_id], loan_id


@pytest.mark.one_database("three servers on PostgreSQL follow")
def test_references_and_tasks_hold_through_twenty_kills_of_one_server(
    make_server: Callable[..., ServerProcess],
) -> None:
    server = make_server(PYTHONPATH=PARCELS_PATH, STAGE_SECONDS="0")
    server.program = PROGRAM
    server.start()
    _run([server])
    assert server.stop() == 0
    server.start()  # what was applied at last makes its tasks now
    wait_until(lambda: _is_relayed(server.database.rows, "tasks_file.meta"))
    assert server.stop() == 0
    _check(server.database.rows)


@pytest.mark.one_database("three servers share one PostgreSQL")
def test_references_and_tasks_hold_through_kills_of_three_servers(fleet: Fleet) -> None:
    servers = [fleet.server(PYTHONPATH=PARCELS_PATH, **SMALL) for _ in range(3)]
    for server in servers:
        server.program = PROGRAM
        server.start()

    def rows(statement: str) -> list[Any]:
        with fleet.connection() as connection:
            connection.execute("SET search_path = afterwrite")
            return connection.execute(statement.encode()).fetchall()

    _run(servers)
    wait_until(lambda: _is_relayed(rows, "meta"))
    _check(rows)


def _is_relayed(rows: Callable[[str], list[Any]], meta: str) -> bool:
    """Whether the task queue has what the outbox has."""
    [(last,)] = rows("SELECT coalesce(max(write_id), 0) FROM outbox")
    [(through,)] = rows(f"SELECT value FROM {meta} WHERE name = 'outbox_through'")
    return int(through) >= int(last)
