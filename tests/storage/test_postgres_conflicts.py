"""Transactions that are in each other's way are done again, and that is counted."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from databases import LIMITS
from declared import RESOURCES
from many_processes import new_database
from postgres_server import require_postgres
from server_process import wait_until
from task_house import CalledWorker, echo

from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreUnavailable, TransactionConflict
from afterwrite.storage.commits import Commits
from afterwrite.storage.driver import DriverConnection
from afterwrite.storage.postgres import pipelined
from afterwrite.storage.postgres.address import Address, address_of
from afterwrite.storage.postgres.connect import connect, open_reader, open_writer
from afterwrite.storage.postgres.sharing import end_stalled
from afterwrite.storage.postgres.stores import PostgresStores
from afterwrite.storage.stores import prepare_stores
from afterwrite.tasks.registry import Registry
from afterwrite.tasks.store import TaskStore
from afterwrite.tasks.task import NewTask


@pytest.fixture
def address() -> Iterator[Address]:
    """A database with two rows to fight for."""
    require_postgres()
    with new_database() as url:
        found = address_of(Settings(database_url=url))
        commits = Commits(lambda: open_writer(found))
        commits.run(
            lambda connection: _run(
                connection, "CREATE TABLE rows AS SELECT id, 0 AS value FROM (VALUES (1), (2)) AS v (id)"
            )
        )
        commits.close()
        yield found


def _run(connection: DriverConnection, statement: str) -> Any:
    """Run a statement now, and not with the next one; returns how many rows it changed."""
    return connection.execute(lambda cursor: connection.count(cursor.execute(statement)))


def test_a_deadlock_is_done_again_and_counted(address: Address) -> None:
    both = threading.Barrier(2)

    def add_to(first: int, second: int, commits: Commits) -> None:
        met = threading.Event()

        def work(connection: DriverConnection) -> None:
            _run(connection, f"UPDATE rows SET value = value + 1 WHERE id = {first}")
            if not met.is_set():  # only the first time: each has its first row before it asks for the other's
                met.set()
                both.wait(30)
            _run(connection, f"UPDATE rows SET value = value + 1 WHERE id = {second}")

        commits.run(work)

    one, other = Commits(lambda: open_writer(address)), Commits(lambda: open_writer(address))
    threads = [threading.Thread(target=add_to, args=ids) for ids in ((1, 2, one), (2, 1, other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert one.conflicts + other.conflicts == 1
    values = one.run(
        lambda connection: connection.execute(lambda cursor: cursor.execute("SELECT value FROM rows").fetchall())
    )
    assert values == [(2,), (2,)]
    one.close()
    other.close()


def test_a_lock_that_is_not_given_up_is_an_error_after_a_time(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = pipelined._BEGUN.replace("'15s'", "'100ms'")
    assert begun != pipelined._BEGUN
    monkeypatch.setattr(pipelined, "_BEGUN", begun)
    held, other = Commits(lambda: open_writer(address)), Commits(lambda: open_writer(address))

    def add(connection: DriverConnection) -> None:
        _run(connection, "UPDATE rows SET value = value + 1 WHERE id = 1")

    def add_while_it_is_locked(connection: DriverConnection) -> None:
        add(connection)
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            other.run(add)

    held.run(add_while_it_is_locked)
    other.run(add)
    [(value,)] = other.run(
        lambda connection: connection.execute(
            lambda cursor: cursor.execute("SELECT value FROM rows WHERE id = 1").fetchall()
        )
    )
    assert value == 2
    held.close()
    other.close()


def test_who_stands_still_in_the_middle_of_a_pipeline_loses_its_session_and_nobody_else_does(address: Address) -> None:
    engine = open_reader(address, 2)
    with connect(address) as standing, connect(address) as other, engine.connect() as connection:
        with pytest.raises(psycopg.OperationalError), standing.pipeline():
            standing.execute("BEGIN")
            standing.execute(f"SELECT {pipelined.SETTINGS}")
            row = standing.execute("SELECT pg_advisory_xact_lock(1), pg_backend_pid()").fetchone()
            assert row is not None  # it came without the end of the pipeline, so the server waits for more
            wait_until(lambda: _standing(other, row[1]) == ("active", "ClientRead"))
            end_stalled(connection, 3600)
            assert _standing(other, row[1]) == ("active", "ClientRead"), "it has not stood still for so long"
            end_stalled(connection, 0)
            # Its message depends on how much of the end has arrived; what counts is that the session is gone.
            wait_until(lambda: _standing(other, row[1]) is None)
        other.execute("SELECT pg_advisory_lock(1)")
    engine.dispose()


def _standing(connection: "psycopg.Connection[Any]", pid: int) -> Any:
    return connection.execute("SELECT state, wait_event FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()


def test_a_conflict_that_never_ends_is_an_error_in_the_end(address: Address) -> None:
    commits = Commits(lambda: open_writer(address))

    def work(connection: DriverConnection) -> None:
        _run(connection, "DO $$ BEGIN RAISE serialization_failure; END $$")

    with pytest.raises(TransactionConflict, match="It is tried again"):
        commits.run(work)
    assert commits.conflicts == 10
    commits.close()


def test_two_processes_that_add_one_key_at_a_time_add_one_task() -> None:
    """The one that comes second waits for the first, and then finds the key."""
    require_postgres()
    with new_database() as url:
        settings = Settings(database_url=url)
        prepare_stores(settings, RESOURCES)
        sides = [Commits(lambda: open_writer(address_of(settings))) for _ in range(2)]
        stores = [TaskStore(commits, lambda _: None) for commits in sides]
        registry, met = Registry([CalledWorker(echo)], 1_000), threading.Barrier(2)

        def add(store: TaskStore, number: int) -> int:
            prepared = registry.prepare(NewTask("called", {}, idempotency_key=f"key {number}"))
            met.wait(30)
            return store.add([prepared])[0][0].id

        with ThreadPoolExecutor(2) as pool:
            for number in range(20):
                assert len(set(pool.map(add, stores, [number, number]))) == 1
        for commits in sides:
            commits.close()


def test_a_process_that_has_signed_off_gives_no_more_signs_of_life() -> None:
    require_postgres()
    with new_database() as url:
        settings = Settings(database_url=url, database_connections=2)
        prepare_stores(settings, RESOURCES)
        stores = PostgresStores(settings, LIMITS, RESOURCES, "server")
        sharing = stores.sharing
        sharing.beat()
        assert [one.name for one in sharing.live()] == [sharing.name]
        sharing.leave()
        sharing.beat()  # one that was under way when it was cancelled
        assert sharing.live() == []
        stores.close()
