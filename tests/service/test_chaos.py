"""Kills processes and PostgreSQL under load, again and again: no promise is broken over any number of processes."""

import contextlib
import functools
import http.client
import json
import random
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_cluster import PostgresCluster
from promises_kept import LEDGER, RECORDS, Key, Settled, Stored, is_settled_as_sent, replayed, settled
from server_process import Client, ServerProcess, WorkerProcess, wait_until
from write_load import PARCELS, PARCELS_APP, PARCELS_PATH, PRODUCTS, Request, Shopkeeper

KILLS, RESTARTED_AT_KILLS = 60, (15, 30, 45)
# Between two kills, at least. Clients that get on slowly on a loaded machine are not killed more often.
SECONDS_PER_KILL, WRITES_PER_KILL, TASKS_PER_KILL = 1.0, 20, 4
PAUSE_SECONDS = 0.02  # of a client, at most: what is new must get its turn beside them
SERVERS, WORKERS, CLIENTS = 3, 3, 8
SEED = 20261125
TASK = "mutation($type: String!, $key: String!) { createTask(type: $type, payload: {}, idempotencyKey: $key) { id } }"
ENVIRONMENT = {
    "WORKER_MODULES": "kill_workers",
    "PYTHONPATH": PARCELS_PATH,
    "TASK_LOCK_SECONDS": "5",
    "DATABASE_CONNECTIONS": "4",
    "RUN_WORKERS": "off",
}
# What the database itself saw: each claim, and each outcome with the claim that it was recorded for.
AUDIT = """
CREATE TABLE public.recorded (task bigint, claim bigint, by text, outcome text);
CREATE FUNCTION public.audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.status = 'PROCESSING' AND new.status <> 'PROCESSING' THEN
        INSERT INTO public.recorded VALUES (old.id, old.claim, old.locked_by, new.status);
    ELSIF old.status <> 'PROCESSING' AND new.status = 'PROCESSING' THEN
        INSERT INTO public.recorded VALUES (new.id, new.claim, new.locked_by, 'CLAIMED');
    ELSIF old.status IN ('COMPLETED', 'FAILED', 'CANCELLED') THEN
        INSERT INTO public.recorded VALUES (new.id, new.claim, new.locked_by, 'CHANGED AFTER ITS END');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER UPDATE OF status ON afterwrite.tasks FOR EACH ROW EXECUTE FUNCTION public.audit();
"""

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL"),
    pytest.mark.one_database("it starts a PostgreSQL of its own"),
]


@dataclass
class Wanderer(Shopkeeper):
    """A client that goes from server to server when one does not answer; it creates tasks beside its writes."""

    tasks: list[int] = field(default_factory=list)

    def wander(self, servers: list[ServerProcess], over: threading.Event) -> None:
        """Work until it is over."""
        while not over.is_set():
            server = self.random.choice(servers)
            gone = contextlib.suppress(OSError, http.client.HTTPException, NotAnswered)
            with gone, contextlib.closing(server.client()) as client:
                self._work(client, over)

    def _work(self, client: Client, over: threading.Event) -> None:
        self.catch_up(client)
        while not over.is_set():
            self.send(client, self.next_request())
            if self.random.random() < 0.3:
                self._create_task(client)
            over.wait(self.random.uniform(0, PAUSE_SECONDS))

    def deliver(self, client: Client, request: Request) -> int:
        """Send a request; an answer that does not say whether it was accepted is none."""
        answer = client.execute(request.document, request.variables)
        accepted = (answer.get("data") or {}).get("answer")
        if accepted is None or (not accepted["success"] and accepted["errors"][0]["code"] == "JOURNAL_UNWRITABLE"):
            raise NotAnswered
        return super().deliver(_Answered(answer), request)

    def _create_task(self, client: Client) -> None:
        kind = self.random.choice(["recorded", "staged"])
        answer = client.execute(TASK, {"type": kind, "key": self.title("task")})
        if (answer.get("data") or {}).get("createTask"):
            self.tasks.append(int(answer["data"]["createTask"]["id"]))


class NotAnswered(Exception):
    """It is not known what became of a request."""


class _Answered(Client):
    """A client that has its answer already."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def query(self, document: str, variables: dict[str, Any] | None = None) -> Any:
        """The data of the answer."""
        return self._answer["data"]


@pytest.fixture
def cluster() -> Iterator[PostgresCluster]:
    """A PostgreSQL of the test's own."""
    # No power is cut; a killed process loses nothing that the system has.
    made = PostgresCluster("fsync = off")
    yield made
    made.remove()


def test_no_promise_is_broken_while_processes_and_the_database_are_killed(
    cluster: PostgresCluster,
    make_server: Callable[..., ServerProcess],
    make_worker: Callable[..., WorkerProcess],
    tmp_path: Path,
) -> None:
    chance = random.Random(SEED)
    environment = {**ENVIRONMENT, "DATABASE_URL": cluster.url}
    servers = [make_server(tmp_path / f"api{number}", **environment) for number in range(SERVERS)]
    for server in servers:
        server.program = PARCELS_APP
        server.start()
    workers = [make_worker(tmp_path / f"worker{number}", **environment).start() for number in range(WORKERS)]
    with psycopg.connect(_plain(cluster.url), autocommit=True) as connection:
        connection.execute(AUDIT)
    kinds = (PRODUCTS, PARCELS)
    shop = [Wanderer(f"shop {number}", random.Random(f"{SEED}.{number}"), kinds=kinds) for number in range(CLIENTS)]
    over = threading.Event()
    clients = [threading.Thread(target=keeper.wander, args=(servers, over)) for keeper in shop]
    for client in clients:
        client.start()
    _make_chaos(cluster, [*servers, *workers], shop, chance)
    over.set()
    for client in clients:
        client.join(60)
        assert not client.is_alive()
    _start_dead([*servers, *workers])
    for process in [*servers, *workers]:
        wait_until(process.ready, 60)
    _finish(servers[0], shop)
    wait_until(lambda: _is_at_rest(cluster), 120)
    _check(cluster, shop)


def _make_chaos(cluster: PostgresCluster, processes: list[Any], shop: list[Wanderer], chance: random.Random) -> None:
    """Kill a random process again and again, and start the one that was killed before."""
    for kill in range(1, KILLS + 1):
        if kill in RESTARTED_AT_KILLS:
            cluster.restart_at_once()
        _start_dead(processes)
        chance.choice(processes).kill()
        progress = functools.partial(_has_progressed, shop, kill, time.monotonic() + SECONDS_PER_KILL)
        wait_until(progress, 120)


def _has_progressed(shop: list[Wanderer], kills: int, earliest: float) -> bool:
    writes = sum(write.write_id is not None for keeper in shop for write in keeper.sent)
    tasks = sum(len(keeper.tasks) for keeper in shop)
    enough = writes >= kills * WRITES_PER_KILL and tasks >= kills * TASKS_PER_KILL
    return enough and time.monotonic() >= earliest


def _start_dead(processes: list[Any]) -> None:
    for process in processes:
        if process.process is None or process.process.poll() is not None:
            process.launch()


def _finish(server: ServerProcess, shop: list[Wanderer]) -> None:
    """Send again what has a key and no answer."""
    for keeper in shop:
        with contextlib.closing(server.client()) as client:
            keeper.catch_up(client)


def _is_at_rest(cluster: PostgresCluster) -> bool:
    """Whether nothing waits and nothing runs; in one statement, for a task with stages goes back and forth."""
    with psycopg.connect(_plain(cluster.url)) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM afterwrite.writes), "
            "(SELECT count(*) FROM afterwrite.tasks WHERE status IN ('PENDING', 'PROCESSING'))"
        ).fetchone()
    return row == (0, 0)


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg", "postgresql")


def _check(cluster: PostgresCluster, shop: list[Wanderer]) -> None:
    with psycopg.connect(_plain(cluster.url)) as connection:
        connection.execute("SET search_path = afterwrite")
        ledger = settled(connection.execute(LEDGER).fetchall())
        found = {name: connection.execute(statement.encode()).fetchall() for name, statement in RECORDS.items()}
        tasks = connection.execute("SELECT id, status, claim, result_json FROM afterwrite.tasks").fetchall()
        recorded = connection.execute("SELECT task, claim, outcome FROM public.recorded").fetchall()
        left = connection.execute("SELECT count(*) FROM afterwrite.writes").fetchone()
    assert left == (0,)
    _check_writes(ledger, shop)
    assert {(name, row[0]): Stored(*row[1:]) for name, rows in found.items() for row in rows} == replayed(ledger)
    assert {row.resource for row in ledger} == {"Product", "Parcel"}
    _check_tasks(tasks, recorded, {task for keeper in shop for task in keeper.tasks})


def _check_writes(ledger: list[Settled], shop: list[Wanderer]) -> None:
    """Every acknowledged write is in the ledger once, and those of a record are in the order of its client."""
    acknowledged = [write for keeper in shop for write in keeper.sent if write.write_id is not None]
    assert len(acknowledged) >= KILLS * WRITES_PER_KILL
    by_id = {row.id: row for row in ledger}
    assert [write for write in acknowledged if not is_settled_as_sent(by_id.get(write.write_id or 0), write)] == []
    titles = Counter(row.title for row in ledger if row.operation != "DELETE")
    assert {title for title, count in titles.items() if count > 1} == set(), "a write was accepted twice"
    for keeper in shop:
        ids_of: dict[Key, list[int]] = defaultdict(list)
        for write in keeper.sent:
            if write.write_id is not None:
                ids_of[write.resource, write.record_id].append(write.write_id)
        assert all(ids == sorted(ids) for ids in ids_of.values()), "the order of a record's writes"


def _check_tasks(tasks: list[Any], recorded: list[Any], acknowledged: set[int]) -> None:
    """Every task has ended once, and no claim was given to two workers or recorded by two."""
    assert len(acknowledged) >= KILLS * TASKS_PER_KILL
    assert acknowledged <= {row[0] for row in tasks}
    assert Counter(row[1] for row in tasks) == {"COMPLETED": len(tasks)}
    assert all(json.loads(result)["claim"] == claim for _id, _status, claim, result in tasks)
    ends = Counter(task for task, _claim, outcome in recorded if outcome == "COMPLETED")
    assert ends == dict.fromkeys((row[0] for row in tasks), 1)
    assert not [row for row in recorded if row[2] == "CHANGED AFTER ITS END"]
    for kind in (True, False):
        of_kind = Counter((task, claim) for task, claim, outcome in recorded if (outcome == "CLAIMED") is kind)
        assert max(of_kind.values()) == 1, "a claim was given or recorded twice"
