"""Tests that accept, drain, crash and restart keep every promise, against a simple oracle."""

import itertools
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from accept_together import Ticket
from crash_points import CRASHES, CrashPoint, CrashPoints, Harm, Work
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from in_process import create, create_locker, delete, delete_locker, put, recode, update
from write_model import WriteModel

from afterwrite.resources.write import WriteRequest
from afterwrite.storage.sqlite import write_store as embedded_writes
from afterwrite.writes import queue as async_db

TEXTS = ("Red lamp", "LAMP", "ß-Straße", "İstanbul", "50% off", "a_b*c?[d]", 'the "x"', "红灯笼", "😀😀😀", "la")
KEYS = ("one", "two", "three")
CODES = ("a-1", "b-1", "b-2")

_OF_THE_WRITER = [CrashPoint(work, harm) for work in (Work.SETTLE, Work.INDEX) for harm in Harm]
# A COMMIT of the journal that failed is undone: SQLite gives no error after one that is done.
_BY_APPENDING = [CrashPoint(Work.APPEND, harm) for harm in Harm if harm is not Harm.ERROR_AFTER_COMMIT]
_BY_FORGETTING = [CrashPoint(Work.FORGET, harm) for harm in Harm if harm is not Harm.ERROR_AFTER_COMMIT]
_BY_MIGRATING = [CrashPoint(Work.MIGRATE, harm) for harm in Harm]
_BY_OPENING = [
    CrashPoint(Work.BIND, Harm.ERROR_INSIDE),
    CrashPoint(Work.NOTHING, Harm.ERROR_BEFORE_COMMIT),
    *(CrashPoint(Work.NOTHING, harm) for harm in CRASHES),
]

_fields: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(TEXTS),
        "description": st.none() | st.sampled_from(TEXTS),
        "category": st.none() | st.sampled_from(TEXTS[:3]),
        "price_minor": st.sampled_from((0, 5, 99)),
        "colour": st.just("red"),  # no field of a product
    },
)
_ids = st.integers(1, 9) | st.sampled_from((10**6, 2**63 - 1))
_changes: st.SearchStrategy[WriteRequest | int] = st.one_of(
    st.builds(create, st.sampled_from(TEXTS)),
    st.builds(lambda title, fields: create(**{"title": title, **fields}), st.sampled_from(TEXTS), _fields),
    st.builds(lambda key, fields: update(key, **fields), _ids, _fields),
    st.builds(delete, _ids),
    st.builds(create_locker, st.sampled_from(CODES), st.sampled_from((0, 3))),
    st.builds(recode, _ids, st.sampled_from(CODES)),
    st.builds(put, _ids, st.sampled_from((2, -3)), st.none() | st.none() | st.integers(1, 3)),
    st.builds(delete_locker, _ids),
    st.integers(0, 9),  # a FAILED write to try again
)
_tickets = st.tuples(st.lists(_changes, min_size=1, max_size=4), st.none() | st.sampled_from(KEYS))


def _points(points: list[CrashPoint]) -> st.SearchStrategy[CrashPoint | None]:
    times = st.integers(1, 3)
    return st.none() | st.builds(lambda point, n: point._replace(times=n), st.sampled_from(points), times)


class WriteMachine(RuleBasedStateMachine):
    """Hypothesis chooses what happens to a ``WriteModel``."""

    points: CrashPoints
    folders: Iterator[Path]

    def __init__(self) -> None:
        super().__init__()
        self.folder = next(self.folders)

    @initialize(point=_points(_BY_MIGRATING + _BY_OPENING))
    def open(self, point: CrashPoint | None) -> None:
        """Make the data folder."""
        self.model = WriteModel(self.points, self.folder, point)

    @rule(asked=_tickets, point=_points(_BY_APPENDING))
    def accept(self, asked: tuple[list[WriteRequest | int], str | None], point: CrashPoint | None) -> None:
        """One request."""
        self.model.accept(self._ticket(asked), point)

    @rule(asked=st.lists(_tickets, min_size=2, max_size=4), point=_points(_BY_APPENDING))
    def accept_group(self, asked: list[tuple[list[WriteRequest | int], str | None]], point: CrashPoint | None) -> None:
        """Requests that share a commit, after one that has its own."""
        first, *others = map(self._ticket, asked)
        self.model.accept_group(Ticket([create("first")]), [first, *others], point)

    @rule(point=_points(_OF_THE_WRITER + _BY_FORGETTING))
    def settle(self, point: CrashPoint | None) -> None:
        """Drain."""
        self.model.settle(point)

    @rule(asked=_tickets, killed=st.booleans())
    def accept_between_batches(self, asked: tuple[list[WriteRequest | int], str | None], killed: bool) -> None:
        """One request while the drain is at work, and perhaps the end of the process."""
        self.model.accept_between_batches(self._ticket(asked), killed=killed)

    @rule(point=_points(_OF_THE_WRITER + _BY_FORGETTING))
    def settle_beside_a_bad_one(self, point: CrashPoint | None) -> None:
        """Drain a batch in which one write fails alone."""
        self.model.settle_beside_a_bad_one(point)

    @rule(limit=st.integers(1, 4), point=_points(_OF_THE_WRITER))
    def follow_index(self, limit: int, point: CrashPoint | None) -> None:
        """Let the index follow, half of the way or all of it."""
        self.model.follow_index(limit, point)

    @rule(killed=st.booleans(), stop_seconds=st.sampled_from((0, 30)), point=_points(_BY_OPENING))
    def restart(self, killed: bool, stop_seconds: float, point: CrashPoint | None) -> None:
        """Stop or die, and open again."""
        self.model.restart(killed=killed, stop_seconds=stop_seconds, point=point)

    @invariant()
    def agrees_with_the_oracle(self) -> None:
        """Nothing is lost, doubled, or out of order, and every answer is exact."""
        self.model.check()

    def teardown(self) -> None:
        """Drain what is left, compare for the last time, and clean up."""
        if hasattr(self, "model"):
            self.model.settle()
            self.model.check()
            self.model.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ticket(self, asked: tuple[list[WriteRequest | int], str | None]) -> Ticket:
        changes, key = asked
        wanted = [self.model.retry_of(item) if isinstance(item, int) else item for item in changes]
        return Ticket([item or create("no failed write") for item in wanted], key)


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CrashPoints:
    """Every connection of the test is watched; pauses are short, and the index follows in small batches."""
    watching = CrashPoints(tmp_path)
    monkeypatch.setattr(sqlite3, "connect", watching.connect)
    monkeypatch.setattr(async_db, "_FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(async_db, "_LONGEST_PAUSE_SECONDS", 0.002)
    monkeypatch.setattr(embedded_writes, "_INDEX_LAG_MAX", 4)
    monkeypatch.setattr(embedded_writes, "_INDEX_BATCH", 3)
    monkeypatch.setattr(embedded_writes, "_QUIET_SECONDS", 3600)  # ``follow_index`` says when it is quiet
    return watching


def test_any_course_of_events_agrees_with_the_oracle(points: CrashPoints, tmp_path: Path) -> None:
    class Machine(WriteMachine):
        """Hypothesis makes one without arguments."""

    Machine.points = points
    Machine.folders = (tmp_path / f"data-{number}" for number in itertools.count())
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("point", _BY_MIGRATING + _BY_OPENING, ids=lambda point: f"{point[0].name}-{point[1].value}")
def test_a_harm_at_the_first_open_leaves_a_usable_folder(
    point: CrashPoint, points: CrashPoints, tmp_path: Path
) -> None:
    model = WriteModel(points, tmp_path / "data", point)
    assert points.reached == {point[:2]}
    model.accept(Ticket([create("Red lamp")]))
    model.settle()
    model.check()
    model.close()


@pytest.mark.parametrize(
    "point", _BY_APPENDING + _OF_THE_WRITER + _BY_FORGETTING, ids=lambda point: f"{point[0].name}-{point[1].value}"
)
def test_a_harm_at_a_commit_loses_and_doubles_nothing(point: CrashPoint, points: CrashPoints, tmp_path: Path) -> None:
    model = WriteModel(points, tmp_path / "data")
    model.settle()
    model.accept(Ticket([create("Red lamp"), create("LAMP"), update(1, price_minor=5)], "key"))
    armed = point if point.work is Work.APPEND else None
    changes = [update(2, title="la"), delete(1), update(1, title="gone"), create("红灯笼")]
    of_lockers = [create_locker("a-1", 3), create_locker("a-1"), put(1, -2), put(1, -2), put(1, 5, 9)]
    model.accept(Ticket([*changes, *of_lockers]), armed)
    model.settle(None if armed else point)
    assert points.reached == {point[:2]}
    model.check()
    model.accept(Ticket([create("Red lamp"), create("LAMP"), update(1, price_minor=5)], "key"))
    model.settle()
    model.check()
    model.close()
