"""The write queue: shared commits, numbers that only rise, limits, waiting, and what it says of itself."""

import asyncio
import sqlite3
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accept_together import count_commits
from databases import LIMITS, WAIT_SECONDS, Database
from in_process import Catalogue, EmbeddedCatalogue, MakeCatalogue, create, delete, update
from server_process import wait_until

from afterwrite.base.store_errors import StoreError
from afterwrite.resources.write import Write, WriteRequest, WriteStatus
from afterwrite.writes.queue import NotAcceptedError, QueueState, Refusal


def test_concurrent_callers_share_commits_and_keep_their_own_order(catalogue: Catalogue) -> None:
    commits = count_commits(catalogue.queue)
    start = threading.Barrier(16)

    def send(number: int) -> list[int]:
        start.wait()
        return [catalogue.queue.accept([create(f"{number}-{step}")])[0].id for step in range(25)]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(16)))
    catalogue.settle()
    assert all(ids == sorted(ids) for ids in answers)
    assert len({write_id for ids in answers for write_id in ids}) == 400
    assert sum(commits) == 400
    assert len(commits) < 400
    titles = [product.title for product in catalogue.products.page("", 500, 0)]
    for number in range(16):
        mine = [title for title in titles if title.startswith(f"{number}-")]
        assert mine == [f"{number}-{step}" for step in range(25)]


def test_numbers_rise_when_the_clock_steps_back_and_after_a_restart(
    make_catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = make_catalogue()
    first = catalogue.write(create("before"))[0]
    an_hour_ago = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: an_hour_ago)
    second = catalogue.write(create("stepped back"))[0]
    catalogue.write(delete(second.record_id))
    catalogue.stop()
    third = make_catalogue().write(create("restarted"))[0]
    assert first.id < second.id < third.id
    assert third.record_id == second.record_id + 1  # an id is not used again, though its product is gone


@pytest.mark.parametrize(
    ("limits", "fits"),
    [(replace(LIMITS, max_writes=3), [create("a"), create("b")]), (replace(LIMITS, max_bytes=500), [create("a")])],
)
def test_past_its_limit_the_queue_is_full_and_nothing_is_half_accepted(
    make_catalogue: MakeCatalogue, limits: object, fits: list[WriteRequest]
) -> None:
    catalogue = make_catalogue(limits, held=True)
    catalogue.queue.accept(fits)
    before = catalogue.queue.status()
    with pytest.raises(NotAcceptedError) as refused:
        catalogue.queue.accept([create("x" * 300), create("y")])
    assert refused.value.refusal is Refusal.QUEUE_FULL
    after = catalogue.queue.status()
    assert (after.depth, after.size_bytes) == (before.depth, before.size_bytes)
    assert len(catalogue.waiting()) == len(fits)
    catalogue.settle()
    assert catalogue.queue.status().depth == 0
    catalogue.write(create("room again"))


def test_a_full_queue_says_so(make_catalogue: MakeCatalogue) -> None:
    catalogue = make_catalogue(replace(LIMITS, max_writes=1), held=True)
    assert catalogue.queue.status().state is QueueState.IDLE
    catalogue.queue.accept([create("a")])
    status = catalogue.queue.status()
    assert (status.state, status.depth) == (QueueState.FULL, 1)
    assert status.size_bytes > 0


def test_a_stopped_queue_accepts_nothing(make_catalogue: MakeCatalogue) -> None:
    catalogue = make_catalogue()
    catalogue.stop()
    with pytest.raises(NotAcceptedError) as refused:
        catalogue.queue.accept([create("late")])
    assert refused.value.refusal is Refusal.SHUTTING_DOWN


def test_a_waiter_gets_its_write_when_it_is_settled(catalogue: Catalogue) -> None:
    catalogue.hold()
    applied, failed = catalogue.queue.accept([create("a"), update(99, title="b")])
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(catalogue.queue.wait, write.id, WAIT_SECONDS) for write in (applied, failed)]
        catalogue.release()
        settled = [waiter.result(WAIT_SECONDS) for waiter in waiting]
    assert [write.status if write else None for write in settled] == [WriteStatus.APPLIED, WriteStatus.FAILED]
    assert catalogue.queue.is_settled(failed.id)
    assert catalogue.queue.wait(applied.id, 0) is not None


def test_no_more_than_the_limit_wait_at_once(make_catalogue: MakeCatalogue) -> None:
    catalogue = make_catalogue(replace(LIMITS, max_waiters=1), held=True)
    write = catalogue.queue.accept([create("a")])[0]
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(catalogue.queue.wait, write.id, WAIT_SECONDS)
        while not len(catalogue.queue._waiters):
            assert not first.done()
        assert catalogue.queue.wait(write.id, WAIT_SECONDS) is None
        catalogue.release()
        assert first.result(WAIT_SECONDS) is not None


def test_a_wait_that_is_over_leaves_nothing_behind(catalogue: Catalogue) -> None:
    catalogue.hold()
    write = catalogue.queue.accept([create("a")])[0]
    assert catalogue.queue.wait(write.id, 0) is None
    assert len(catalogue.queue._waiters) == 0


def test_the_journal_forgets_what_is_settled(catalogue: Catalogue) -> None:
    catalogue.write(*(create(str(number)) for number in range(120)))
    catalogue.settle()
    assert catalogue.waiting() == []
    status = catalogue.queue.status()
    assert (status.depth, status.size_bytes, status.applied_total) == (0, 0, 120)


def test_totals_survive_a_restart(make_catalogue: MakeCatalogue) -> None:
    catalogue = make_catalogue()
    catalogue.write(create("a"), delete(9), create("b"))
    catalogue.stop()
    status = make_catalogue().queue.status()
    assert (status.applied_total, status.failed_total) == (2, 1)


# Of SQLite only: it has a search index of its own.
def test_a_quiet_queue_lets_the_index_catch_up_whatever_its_length(tmp_path: Path) -> None:
    catalogue = EmbeddedCatalogue(tmp_path / "data")
    try:
        for _ in range(5):
            catalogue.write(*(create("x") for _ in range(500)))
        deadline = time.monotonic() + WAIT_SECONDS
        while catalogue.stores.writes._index_lag:
            assert time.monotonic() < deadline
            threading.Event().wait(0.02)  # between two looks at what has no event to wait for
        catalogue.settle()
        assert catalogue.follow_index(1) == 0
    finally:
        catalogue.stop()


def watched(pool: ThreadPoolExecutor, catalogue: Catalogue, write_id: int) -> Future[Write | None]:
    """A write that is waited for on a loop of its own, without a limit: that of the catalogue may be at rest."""
    return pool.submit(lambda: asyncio.run(catalogue.queue.watch(write_id, WAIT_SECONDS)))


def test_those_who_watch_without_a_limit_take_no_place_from_those_who_wait(make_catalogue: MakeCatalogue) -> None:
    catalogue = make_catalogue(replace(LIMITS, max_waiters=1), held=True)
    write = catalogue.queue.accept([create("a")])[0]
    with ThreadPoolExecutor(3) as pool:
        try:
            watching = [watched(pool, catalogue, write.id) for _ in range(2)]
            wait_until(lambda: len(catalogue.queue._waiters) == 2)
            waiting = pool.submit(catalogue.queue.wait, write.id, WAIT_SECONDS)
            wait_until(lambda: len(catalogue.queue._waiters) == 3)
        finally:
            catalogue.release()
        assert waiting.result(WAIT_SECONDS) is not None
        assert all(watcher.result(WAIT_SECONDS) for watcher in watching)


def test_a_stop_that_is_announced_wakes_those_who_watch(catalogue: Catalogue) -> None:
    catalogue.hold()
    write = catalogue.queue.accept([create("a")])[0]
    with ThreadPoolExecutor(1) as pool:
        watching = watched(pool, catalogue, write.id)
        try:
            wait_until(lambda: len(catalogue.queue._waiters) == 1)
        finally:
            catalogue.queue.announce_stop()
        assert watching.result(WAIT_SECONDS) is None


# Of SQLite only: a settled write leaves the journal with a later commit.
def test_settled_writes_are_dropped_a_few_batches_at_a_time(tmp_path: Path) -> None:
    catalogue = EmbeddedCatalogue(tmp_path / "data", replace(LIMITS, batch_size=10), held=True)
    try:
        for _ in range(30):
            catalogue.queue.accept([create(str(number)) for number in range(10)])
        dropped: list[int] = []
        forget = catalogue.journal.append

        def count_dropped(writes: Any, keys: Any, forget_through: int) -> None:
            before = catalogue.journal.backlog().writes
            forget(writes, keys, forget_through)
            dropped.append(before - catalogue.journal.backlog().writes)

        catalogue.journal.append = count_dropped  # type: ignore[method-assign]
        catalogue.settle()
        assert sum(dropped) == 300
        assert max(dropped) <= 40
    finally:
        catalogue.stop()


# Of SQLite only: the journal is made read-only.
def test_a_journal_that_cannot_be_written_shows_and_the_figures_still_come(tmp_path: Path) -> None:
    catalogue = EmbeddedCatalogue(tmp_path / "data", held=True)
    catalogue.queue.accept([create("a")])
    # As a full disk: it reads, and takes nothing.
    catalogue.journal._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(NotAcceptedError) as refused:
        catalogue.queue.accept([create("b")])
    assert refused.value.refusal is Refusal.JOURNAL_UNWRITABLE
    assert "cannot be written" in (catalogue.queue.status().journal_trouble or "")
    catalogue.journal._connection.execute("PRAGMA query_only = OFF")
    catalogue.queue.accept([create("c")])
    assert catalogue.queue.status().journal_trouble is None
    catalogue.stop()


def test_a_receipt_that_the_ledger_lost_is_named(database: Database, catalogue: Catalogue) -> None:
    [write] = catalogue.queue.accept([create("a")], "key")
    catalogue.settle()
    database.rows("DELETE FROM ledger")
    with pytest.raises(StoreError, match=f"Write {write.id} was accepted .* the ledger does not have it"):
        catalogue.queue.accept([create("a")], "key")


# Of SQLite only: it has a search index of its own.
def test_the_index_catches_up_while_writes_keep_coming(tmp_path: Path) -> None:
    catalogue = EmbeddedCatalogue(tmp_path / "data", held=True)
    try:
        for _ in range(10):
            catalogue.queue.accept([create("x") for _ in range(500)])
        catalogue.settle()
        deadline = time.monotonic() + WAIT_SECONDS
        while indexed_through(catalogue) < 5_000:
            catalogue.write(create("one more"))  # never a quiet moment
            assert time.monotonic() < deadline
    finally:
        catalogue.stop()


def indexed_through(catalogue: EmbeddedCatalogue) -> int:
    """The greatest product id that the search index has reached."""
    with closing(sqlite3.connect(catalogue.path)) as connection:
        return int(connection.execute("SELECT indexed_through FROM products_search_state").fetchone()[0])
