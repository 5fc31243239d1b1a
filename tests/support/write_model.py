"""Drives the real queue beside an oracle, through errors, crashes and restarts, and compares the two."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

from accept_together import Ticket, accept_together
from crash_points import CRASHES, CrashPoint, CrashPoints
from databases import LIMITS, WAIT_SECONDS
from declarations import Locker
from in_process import EmbeddedCatalogue, create
from oracle import Oracle

from afterwrite.base.store_errors import StoreError
from afterwrite.resources.registry import Resources
from afterwrite.resources.write import Write, WriteErrorCode, WriteFilter, WriteRequest, WriteStatus, size_bytes
from afterwrite.writes.queue import NotAcceptedError, Refusal
from product_types import Product

MODEL_LIMITS = replace(LIMITS, max_writes=14, batch_size=3)
EVERYTHING = 1_000_000
SEARCHES = ("lamp", "LAMP", "la", "p", "straße", "i̇st", "50%", "a_b*c?[d]", '"x"', "红灯笼", "灯", "😀😀😀", "zzz")

# The second: the key was taken by a request of the same commit, which failed then.
_OF_A_FAILED_COMMIT = (Refusal.JOURNAL_UNWRITABLE, Refusal.IDEMPOTENCY_KEY_REUSED, Refusal.QUEUE_FULL)

# Why a write fails that the API lets through.
_FROM_OUTSIDE = (
    *(f"{name}_{code}" for name in ("PRODUCT", "LOCKER") for code in ("NOT_FOUND", "EXISTS")),
    *(WriteErrorCode.UNREADABLE, WriteErrorCode.NOT_UNIQUE, WriteErrorCode.VERSION_CONFLICT, "EMPTY"),
)
RESOURCES = Resources([Product, Locker])
_NONE = (WriteStatus.QUEUED, None)

Outcome = list[Write] | Refusal


class WriteModel:
    """The catalogue over one folder after another, and what it must be.

    The background loop stands still except in ``settle``, so that what is compared does not move.
    """

    def __init__(self, points: CrashPoints, folder: Path, first: CrashPoint | None = None) -> None:
        self.points, self.oracle = points, Oracle()
        self._first_begin = False
        self._stale: list[Write] = []  # in the journal after a crash although they are settled
        self.catalogue = self._open(folder, first)

    def retry_of(self, number: int) -> WriteRequest | None:
        """The request that tries a FAILED write again, but none of ``settle_beside_a_bad_one``."""
        outcomes = self.oracle.outcomes
        failed = [item for item in self.oracle.writes if outcomes.get(item.id, _NONE)[1] in _FROM_OUTSIDE]
        if not failed:
            return None
        old = failed[number % len(failed)]
        again = WriteRequest(old.resource, old.operation, old.record_id, old.arguments, retry_of=old.id)
        return again._replace(if_version=old.if_version)

    def accept(self, ticket: Ticket, point: CrashPoint | None = None) -> None:
        """One request."""
        self.points.arm(point)
        answer: Future[list[Write]] = Future()
        try:
            answer.set_result(self.catalogue.queue.accept(*ticket))
        except NotAcceptedError as error:
            answer.set_exception(error)
        self._judge([ticket], [answer], point)

    def accept_group(self, first: Ticket, others: Sequence[Ticket], point: CrashPoint | None = None) -> None:
        """Requests at once: one commit for the first, which must find room, one for all others."""
        if self._expected_refusal(first):
            self.settle()
        self.points.arm(point)
        answers = accept_together(self.catalogue.queue, first, others)
        self._judge([first, *others], answers, point)

    def settle(self, point: CrashPoint | None = None) -> None:
        """Let the drain work until it has nothing left to do."""
        self.points.arm(point)
        self.catalogue.settle()
        if self.points.wreck:
            self._reopen(self.points.wreck)
            return
        self.oracle.settle(len(self.oracle.waiting))
        self._stale = []
        self.catalogue.hold()
        assert self.catalogue.queue.status().trouble is None

    def follow_index(self, limit: int, point: CrashPoint | None = None) -> None:
        """Settle, then let the search index follow a little."""
        self.settle()
        self.points.arm(point)
        self.catalogue.release()
        try:
            self.catalogue.follow_index(limit)
        except StoreError:
            assert point is not None
        if self.points.wreck:
            self._reopen(self.points.wreck)
        else:
            self.catalogue.hold()

    def accept_between_batches(self, ticket: Ticket, *, killed: bool) -> None:
        """One request while the drain stands between two batches, of which the journal forgets the first."""
        self.settle()
        self.accept(Ticket([create("la") for _ in range(MODEL_LIMITS.batch_size + 2)]))
        go, begins = threading.Event(), threading.Semaphore(0)

        def begin() -> None:
            begins.release()
            assert self._first_begin or go.wait(WAIT_SECONDS)
            self._first_begin = False

        self._first_begin, self.points.catalogue_begins = True, begin
        self.catalogue.release()
        try:
            assert begins.acquire(timeout=WAIT_SECONDS)
            assert begins.acquire(timeout=WAIT_SECONDS)
            self.oracle.settle(MODEL_LIMITS.batch_size)
            self.accept(ticket)
            wreck = self.points.copy_files(self.catalogue.folder) if killed else None
        finally:
            self.points.catalogue_begins = lambda: None
            go.set()
        if wreck:
            self._reopen(wreck)
        else:
            self.settle()

    def settle_beside_a_bad_one(self, point: CrashPoint | None = None) -> None:
        """Settle a batch in which one write breaks a constraint of the table, as no checked request does.

        No other write of the batch is about its product: what is no more at the end of a batch breaks nothing.
        """
        self.settle()
        self.accept(Ticket([create("Red lamp"), create("bad", price_minor=-1), create("LAMP")]))
        self.settle(point)

    def restart(self, *, killed: bool, stop_seconds: float = 30, point: CrashPoint | None = None) -> None:
        """Stop, with so much time for the drain, or die on the spot; then open the same files again."""
        folder = self.catalogue.folder
        if killed:
            folder = self.points.copy_files(folder)
        self.catalogue.queue._limits = replace(MODEL_LIMITS, stop_seconds=stop_seconds)
        self.points.arm(None)
        self._reopen(folder, point)

    def close(self) -> None:
        """End it."""
        self.points.arm(None)
        self.catalogue.stop()

    def check(self) -> None:
        """Compare all that a reader can see."""
        self._check_products()
        self._check_lockers()
        self._check_receipts()
        status, oracle = self.catalogue.queue.status(), self.oracle
        totals = [state for state, _ in oracle.outcomes.values()]
        assert status.applied_total == totals.count(WriteStatus.APPLIED)
        assert status.failed_total == totals.count(WriteStatus.FAILED)
        in_journal = [*self._stale, *oracle.waiting]
        assert status.depth == len(in_journal)
        assert status.size_bytes == sum(size_bytes(write.arguments) for write in in_journal)

    def _check_products(self) -> None:
        products, oracle = self.catalogue.products, self.oracle
        assert products.page("", EVERYTHING, 0) == oracle.stored()
        for term in SEARCHES:
            found = [product.id for product in products.page(term, EVERYTHING, 0)]
            assert found == oracle.search(term), f"search {term!r}"

    def _check_lockers(self) -> None:
        lockers, expected = self.catalogue.stores.records["Locker"], self.oracle.stored_lockers()
        assert lockers.page("", EVERYTHING, 0) == expected
        for term in ("a", "b-1", "-1"):
            assert lockers.page(term, EVERYTHING, 0) == [one for one in expected if term in one.code]

    def _check_receipts(self) -> None:
        oracle, queue = self.oracle, self.catalogue.queue
        receipts = queue.newest(WriteFilter(), None, EVERYTHING)[::-1]
        assert [receipt[:9] for receipt in receipts] == [write[:9] for write in oracle.writes]
        for receipt in receipts:
            assert receipt.status == oracle.status(receipt), receipt
            assert receipt.error_code == oracle.outcomes.get(receipt.id, _NONE)[1]
            assert (receipt.settled_at_us is None) is (receipt.status == WriteStatus.QUEUED)
        if not self._stale:
            queued = queue.newest(WriteFilter(WriteStatus.QUEUED), None, EVERYTHING)
            assert [write.id for write in queued[::-1]] == [write.id for write in oracle.waiting]

    def _judge(
        self, tickets: Sequence[Ticket], answers: Sequence[Future[list[Write]]], point: CrashPoint | None
    ) -> None:
        outcomes = [_outcome(answer) for answer in answers]
        if self.points.wreck:
            self._reopen(self.points.wreck, unanswered=list(zip(tickets, outcomes, strict=True)))
            return
        may_fail = point is not None and point.harm not in CRASHES
        for ticket, outcome in zip(tickets, outcomes, strict=True):
            expected = self._expected_refusal(ticket)
            if isinstance(outcome, Refusal):
                assert outcome is expected or (may_fail and outcome in _OF_A_FAILED_COMMIT), outcome
            elif ticket.key in self.oracle.keys:
                assert [write.id for write in outcome] == self.oracle.keys[ticket.key][1]
                assert all(write.status == self.oracle.status(write) for write in outcome)
            else:
                assert expected is None
                self._accepted(ticket, outcome)

    def _expected_refusal(self, ticket: Ticket) -> Refusal | None:
        if ticket.key in self.oracle.keys:
            same = self.oracle.keys[ticket.key][0] == list(ticket.requests)
            return None if same else Refusal.IDEMPOTENCY_KEY_REUSED
        waiting = len(self._stale) + len(self.oracle.waiting)
        return Refusal.QUEUE_FULL if waiting + len(ticket.requests) > MODEL_LIMITS.max_writes else None

    def _accepted(self, ticket: Ticket, writes: list[Write]) -> None:
        asked = [(item.operation, item.arguments, item.retry_of) for item in ticket.requests]
        assert [(write.operation, write.arguments, write.retry_of) for write in writes] == asked
        self.oracle.accept(writes)
        if ticket.key is not None:
            self.oracle.keys[ticket.key] = (list(ticket.requests), [write.id for write in writes])

    def _open(self, folder: Path, point: CrashPoint | None) -> EmbeddedCatalogue:
        self.points.arm(point)
        try:
            catalogue = EmbeddedCatalogue(folder, MODEL_LIMITS, held=True, resources=RESOURCES)
        except StoreError:
            assert point is not None
            assert point.harm not in CRASHES
            return self._open(folder, None)
        if self.points.wreck is None:
            return catalogue
        wreck = self.points.wreck
        catalogue.stop()
        return self._open(wreck, None)

    def _reopen(
        self, folder: Path, point: CrashPoint | None = None, unanswered: Sequence[tuple[Ticket, Outcome]] = ()
    ) -> None:
        self.catalogue.stop()
        self.catalogue = self._open(folder, point)
        for ticket, outcome in unanswered:
            self._settle_doubt(ticket, outcome)
        settled = self.catalogue.ledger.newest(WriteFilter(), 2**63 - 1, EVERYTHING)[::-1]
        expected = [write.id for write in self.oracle.writes]
        assert [write.id for write in settled] == expected[: len(settled)], "settled once and in order"
        assert len(settled) >= self.oracle.settled, "what was settled stays settled"
        self.oracle.settle(len(settled) - self.oracle.settled)
        waiting = [write.id for write in self.oracle.waiting]
        journal = self.catalogue.journal.after(0, EVERYTHING)
        assert [write.id for write in journal if write.id not in self.oracle.outcomes] == waiting
        self._stale = [write for write in journal if write.id in self.oracle.outcomes]

    def _settle_doubt(self, ticket: Ticket, outcome: Outcome) -> None:
        """A request that was not answered: all of it is on disk, or nothing."""
        if isinstance(outcome, Refusal) or ticket.key in self.oracle.keys:
            return
        found = [write for write in outcome if self.catalogue.queue.find(write.id) is not None]
        assert found in ([], outcome)
        if found:
            self._accepted(ticket, outcome)


def _outcome(answer: Future[list[Write]]) -> Outcome:
    error = answer.exception()
    if error is None:
        return answer.result()
    assert isinstance(error, NotAcceptedError), error
    return error.refusal
