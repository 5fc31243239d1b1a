"""Tests that requests share a commit of the journal and that each of them gets its own answer."""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from accept_together import Ticket, accept_together
from crash_points import CrashPoint, CrashPoints, Harm, Work
from in_process import Catalogue, create, delete, update

from async_db import NotAcceptedError, Refusal
from product import PRODUCT_ID_MAX
from writes import Operation, Write, WriteRequest

FAILING = CrashPoint(Work.APPEND, Harm.ERROR_BEFORE_COMMIT)


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CrashPoints:
    """Watches every connection of the test."""
    watching = CrashPoints(tmp_path)
    monkeypatch.setattr(sqlite3, "connect", watching.connect)
    return watching


@pytest.fixture
def catalogue(points: CrashPoints, tmp_path: Path) -> Iterator[Catalogue]:
    """An empty catalogue whose writes wait in the journal."""
    opened = Catalogue(tmp_path / "data", held=True)
    yield opened
    opened.stop()


def refusals(answers: Sequence[Future[list[Write]]]) -> list[Refusal | None]:
    """Why each request was refused; None when it was accepted."""
    errors = [answer.exception() for answer in answers]
    assert all(error is None or isinstance(error, NotAcceptedError) for error in errors)
    return [error.refusal if isinstance(error, NotAcceptedError) else None for error in errors]


def waiting(catalogue: Catalogue) -> list[int]:
    """The ids of the writes in the journal, in its order."""
    return [write.id for write in catalogue.journal.after(0, 1_000)]


def test_all_that_arrive_during_a_commit_share_the_next_one(
    catalogue: Catalogue, points: CrashPoints
) -> None:
    others = [Ticket([create(f"{number}a"), create(f"{number}b")]) for number in range(15)]
    answers = accept_together(catalogue.queue, points, Ticket([create("first")]), others)
    assert points.commits[Work.APPEND] == 2
    accepted = [write.id for answer in answers for write in answer.result()]
    assert accepted == sorted(accepted) == waiting(catalogue)
    titles = [json.loads(write.arguments)["title"] for write in catalogue.journal.after(0, 1_000)]
    assert titles == ["first", *(f"{number}{letter}" for number in range(15) for letter in "ab")]


def test_one_key_twice_in_a_commit_is_one_write(catalogue: Catalogue, points: CrashPoints) -> None:
    same = Ticket([create("lamp")], "key")
    answers = accept_together(
        catalogue.queue, points, Ticket([create("first")]), [same, same, Ticket([create("other")], "key")]
    )
    assert refusals(answers) == [None, None, None, Refusal.IDEMPOTENCY_KEY_REUSED]
    assert answers[1].result() == answers[2].result()
    assert len(waiting(catalogue)) == 2


def test_a_commit_that_fails_refuses_all_its_requests_and_no_other(
    catalogue: Catalogue, points: CrashPoints
) -> None:
    known = Ticket([create("known")], "known")
    catalogue.queue.accept(*known)
    first, same = Ticket([create("first")]), Ticket([create("lamp")], "key")
    points.arm(FAILING)
    answers = accept_together(catalogue.queue, points, first, [same, same, known])
    assert refusals(answers) == [Refusal.JOURNAL_UNWRITABLE, None, None, None]
    points.arm(FAILING._replace(times=2))
    new = Ticket([create("new")], "new key")
    answers = accept_together(catalogue.queue, points, first, [new, new, known, Ticket([create("x")])])
    unwritable = Refusal.JOURNAL_UNWRITABLE  # but what was accepted before stands
    assert refusals(answers) == [unwritable, unwritable, unwritable, None, unwritable]
    assert catalogue.queue.status().depth == len(waiting(catalogue)) == 2


def test_a_key_of_a_commit_that_failed_is_free_again(catalogue: Catalogue, points: CrashPoints) -> None:
    points.arm(FAILING)
    with pytest.raises(NotAcceptedError, match="cannot be written: disk I/O error") as refused:
        catalogue.queue.accept([create("lamp")], "key")
    assert refused.value.refusal is Refusal.JOURNAL_UNWRITABLE
    assert len(catalogue.queue.accept([create("another lamp")], "key")) == 1
    assert catalogue.queue.status().depth == len(waiting(catalogue)) == 1


def test_what_sqlite_cannot_take_is_refused_and_the_next_request_is_not(
    catalogue: Catalogue, points: CrashPoints
) -> None:
    """Not a refusal that SQLite words, but one of its driver, in the middle of the transaction."""
    too_great = Ticket([update(2**63, title="x")])
    answers = accept_together(
        catalogue.queue, points, Ticket([create("first")]), [Ticket([create("beside it")]), too_great]
    )
    assert [type(answer.exception()) for answer in answers] == [type(None), OverflowError, OverflowError]
    assert len(catalogue.queue.accept([create("next")])) == 1
    assert catalogue.queue.status().depth == len(waiting(catalogue)) == 2


def test_an_update_of_any_id_gives_out_no_product_id(points: CrashPoints, tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "data")
    catalogue.write(create("first"), update(PRODUCT_ID_MAX, title="x"), delete(PRODUCT_ID_MAX - 1))
    catalogue.settle()
    catalogue.hold()
    catalogue.queue.accept([delete(PRODUCT_ID_MAX - 2)])
    wreck = points.copy_files(catalogue.folder)  # once from the ledger, once from the journal
    catalogue.stop()
    for folder in (catalogue.folder, wreck):
        again = Catalogue(folder, held=True)
        assert again.queue.accept([create("second")])[0].product_id == 2
        again.stop()


def test_a_deleted_product_s_id_is_not_given_out_again_though_no_create_told_of_it(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "data")
    with sqlite3.connect(catalogue.path) as loading:  # as init_db does: products without a ledger
        loading.execute(
            "INSERT INTO products (id, title, price_minor, created_at_us, updated_at_us, version, search_text) "
            "VALUES (7, 'loaded', 1, 1, 1, 1, 'loaded')"
        )
    loading.close()
    assert catalogue.write(delete(7))[0].status == "APPLIED"
    catalogue.stop()
    again = Catalogue(tmp_path / "data")
    assert again.write(create("new"))[0].product_id == 8
    again.stop()


@pytest.mark.parametrize(
    "other",
    [
        [create("lamp", 101)],
        [create("lamp"), create("lamp")],
        [update(1, title="lamp")],
        [WriteRequest(Operation.CREATE, 1, create("lamp").arguments, retry_of=1)],
    ],
)
def test_a_key_stands_for_its_arguments(catalogue: Catalogue, other: list[WriteRequest]) -> None:
    first = catalogue.queue.accept([create("lamp")], "key")
    assert catalogue.queue.accept([create("lamp")], "key") == first
    with pytest.raises(NotAcceptedError, match=f"'key' was used for other arguments .write {first[0].id}"):
        catalogue.queue.accept(other, "key")
    assert waiting(catalogue) == [first[0].id]


def test_a_replayed_key_tells_how_the_write_stands_now(catalogue: Catalogue) -> None:
    requests = [create("lamp"), delete(99)]
    queued = catalogue.queue.accept(requests, "key")
    assert [write.status for write in queued] == ["QUEUED", "QUEUED"]
    catalogue.settle()
    settled = catalogue.queue.accept(requests, "key")
    assert [(write.id, write.status) for write in settled] == [
        (queued[0].id, "APPLIED"),
        (queued[1].id, "FAILED"),
    ]


def test_a_key_is_forgotten_after_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Catalogue(tmp_path / "data")
    first = catalogue.queue.accept([create("lamp")], "key")
    catalogue.stop()
    real = time.time_ns
    later: Any = lambda: real() + 3601 * 10**9  # noqa: E731 - a clock, of which the limits keep 3,600 s
    monkeypatch.setattr(time, "time_ns", later)
    again = Catalogue(tmp_path / "data")
    again.settle()
    assert again.queue.accept([create("lamp")], "key")[0].id > first[0].id
    again.stop()
