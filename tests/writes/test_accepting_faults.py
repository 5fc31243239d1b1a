"""A commit of the journal that fails harms no other one; SQLite only, for the harm is done at its connections."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from accept_together import Ticket, accept_together, refusals
from crash_points import CrashPoint, CrashPoints, Harm, Work
from in_process import EmbeddedCatalogue, create, delete, update

from afterwrite.resources.number_fields import WHOLE_MAX
from afterwrite.writes.queue import NotAcceptedError, Refusal

FAILING = CrashPoint(Work.APPEND, Harm.ERROR_BEFORE_COMMIT)


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CrashPoints:
    """Watches every connection of the test."""
    watching = CrashPoints(tmp_path)
    monkeypatch.setattr(sqlite3, "connect", watching.connect)
    return watching


@pytest.fixture
def catalogue(points: CrashPoints, tmp_path: Path) -> Iterator[EmbeddedCatalogue]:
    """An empty catalogue whose writes wait in the journal."""
    opened = EmbeddedCatalogue(tmp_path / "data", held=True)
    yield opened
    opened.stop()


def test_a_commit_is_one_transaction_however_many_share_it(catalogue: EmbeddedCatalogue, points: CrashPoints) -> None:
    accept_together(catalogue.queue, Ticket([create("first")]), [Ticket([create("other")])] * 5)
    assert points.commits[Work.APPEND] == 2


def test_a_commit_that_fails_refuses_all_its_requests_and_no_other(
    catalogue: EmbeddedCatalogue, points: CrashPoints
) -> None:
    known = Ticket([create("known")], "known")
    catalogue.queue.accept(*known)
    first, same = Ticket([create("first")]), Ticket([create("lamp")], "key")
    points.arm(FAILING)
    answers = accept_together(catalogue.queue, first, [same, same, known])
    assert refusals(answers) == [Refusal.JOURNAL_UNWRITABLE, None, None, None]
    points.arm(FAILING._replace(times=2))
    new = Ticket([create("new")], "new key")
    answers = accept_together(catalogue.queue, first, [new, new, known, Ticket([create("x")])])
    unwritable = Refusal.JOURNAL_UNWRITABLE  # but what was accepted before stands
    assert refusals(answers) == [unwritable, unwritable, unwritable, None, unwritable]
    assert catalogue.queue.status().depth == len(catalogue.waiting()) == 2


def test_a_key_of_a_commit_that_failed_is_free_again(catalogue: EmbeddedCatalogue, points: CrashPoints) -> None:
    points.arm(FAILING)
    with pytest.raises(NotAcceptedError) as refused:
        catalogue.queue.accept([create("lamp")], "key")
    assert refused.value.refusal is Refusal.JOURNAL_UNWRITABLE
    assert "cannot be written: disk I/O error" in str(refused.value.__cause__)
    assert len(catalogue.queue.accept([create("another lamp")], "key")) == 1
    assert catalogue.queue.status().depth == len(catalogue.waiting()) == 1


def test_what_sqlite_cannot_take_is_refused_and_the_next_request_is_not(
    catalogue: EmbeddedCatalogue, points: CrashPoints
) -> None:
    """Not a refusal that SQLite words, but one of its driver, in the middle of the transaction."""
    too_great = Ticket([update(2**63, title="x")])
    answers = accept_together(catalogue.queue, Ticket([create("first")]), [Ticket([create("beside it")]), too_great])
    assert [type(answer.exception()) for answer in answers] == [type(None), OverflowError, OverflowError]
    assert len(catalogue.queue.accept([create("next")])) == 1
    assert catalogue.queue.status().depth == len(catalogue.waiting()) == 2


def test_an_update_of_any_id_gives_out_no_product_id(points: CrashPoints, tmp_path: Path) -> None:
    catalogue = EmbeddedCatalogue(tmp_path / "data")
    catalogue.write(create("first"), update(WHOLE_MAX, title="x"), delete(WHOLE_MAX - 1))
    catalogue.settle()
    catalogue.hold()
    catalogue.queue.accept([delete(WHOLE_MAX - 2)])
    wreck = points.copy_files(catalogue.folder)  # once from the ledger, once from the journal
    catalogue.stop()
    for folder in (catalogue.folder, wreck):
        again = EmbeddedCatalogue(folder, held=True)
        assert again.queue.accept([create("second")])[0].record_id == 2
        again.stop()


def test_a_deleted_product_s_id_is_not_given_out_again_though_no_create_told_of_it(tmp_path: Path) -> None:
    catalogue = EmbeddedCatalogue(tmp_path / "data")
    with sqlite3.connect(catalogue.path) as loading:  # as init_db does: products without a ledger
        loading.execute(
            "INSERT INTO products (id, title, price_minor, created_at_us, updated_at_us, version, search_text) "
            "VALUES (7, 'loaded', 1, 1, 1, 1, 'loaded')"
        )
    loading.close()
    assert catalogue.write(delete(7))[0].status == "APPLIED"
    catalogue.stop()
    again = EmbeddedCatalogue(tmp_path / "data")
    assert again.write(create("new"))[0].record_id == 8
    again.stop()
