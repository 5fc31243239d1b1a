"""The figures of the last minutes: told bucket by bucket, fair, and small however much is settled."""

import random
import time
from pathlib import Path

import pytest
from declared import RESOURCES
from in_process import create
from server_process import wait_until

from afterwrite.base.settings import Settings
from afterwrite.resources.write import Write, WriteFilter
from afterwrite.service.recent import KEPT_SECONDS, Point, RecentFigures, merged
from afterwrite.service.service import Service


class Clock:
    """A clock that the test sets, in seconds since 1970."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at the beginning of a bucket."""
    return Clock()


def settled(*delays_ms: float) -> list[Write]:
    """Writes that were settled so long after they were accepted."""
    return [Write(1, "Product", "CREATE", 1, "{}", 10, settled_at_us=10 + int(ms * 1000)) for ms in delays_ms]


def test_a_bucket_is_told_when_it_is_over(clock: Clock) -> None:
    recent = RecentFigures(clock)
    assert recent.points() == []
    recent.count_settled(settled(*range(1, 101)))
    recent.sample_depth(7)
    recent.sample_depth(3)
    clock.now += 1.9
    assert recent.points() == []
    clock.now += 0.2
    recent.count_settled(settled(5))
    assert recent.points() == [Point(1_000_000, 7, 50.0, 50.0, 95.0)]


def test_quiet_buckets_are_told_too_without_gaps(clock: Clock) -> None:
    recent = RecentFigures(clock)
    recent.count_settled(settled(1))
    clock.now += 7
    recent.count_settled([])
    assert recent.points() == [
        Point(1_000_000, 0, 0.5, 1.0, 1.0),
        Point(1_000_002, 0, 0.0, None, None),
        Point(1_000_004, 0, 0.0, None, None),
    ]


def test_what_is_older_than_the_kept_time_is_forgotten(clock: Clock) -> None:
    recent = RecentFigures(clock)
    for number in range(400):
        recent.sample_depth(number)
        clock.now += 2
    points = recent.points()
    assert [point.depth for point in points] == list(range(400 - KEPT_SECONDS // 2, 400))
    clock.now += KEPT_SECONDS + 2
    assert recent.points() == []


def test_a_clock_that_is_set_back_leaves_no_figures_of_the_future(clock: Clock) -> None:
    recent = RecentFigures(clock)
    recent.sample_depth(1)
    clock.now += 100
    recent.sample_depth(2)
    clock.now -= 90
    recent.sample_depth(3)
    clock.now += 2
    assert [point.depth for point in recent.points()] == [1, 0, 0, 0, 0, 3]


def test_the_sample_is_fair_to_every_write_whatever_the_batches(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterwrite.service.recent.random", random.Random(7))
    recent = RecentFigures(clock)
    for size in (1, 500, 30, 500, 2) * 40:  # delays rise from 0 to 1,000 ms in the order of the writes
        done = recent._current().settled
        recent.count_settled(settled(*(1_000 * (done + at) / 41_320 for at in range(size))))
    bucket = recent._current()
    assert len(bucket._delays_us) == 200
    delays = sorted(bucket._delays_us)
    mean = sum(delays) / len(delays) / 1_000
    assert 500 - 3 * 289 / 200**0.5 < mean < 500 + 3 * 289 / 200**0.5
    clock.now += 2
    [point] = recent.points()
    assert point.settled_per_second == 41_320 / 2
    assert point.p50_ms is not None
    assert point.p95_ms is not None
    assert 400 < point.p50_ms < 600
    assert 900 < point.p95_ms <= 1_000


def test_few_writes_of_a_batch_are_looked_at(clock: Clock) -> None:
    class Looked(list[Write]):
        looks = 0

        def __getitem__(self, at: object) -> Write:  # type: ignore[override]
            Looked.looks += 1
            return super().__getitem__(at)  # type: ignore[call-overload,no-any-return]

    recent, batch = RecentFigures(clock), Looked(settled(*range(500)))
    for _ in range(200):
        recent.count_settled(batch)
    assert Looked.looks < 200 * 20, "of 100,000"


def test_a_service_keeps_its_figures_from_start_to_stop(tmp_path: Path) -> None:
    service = Service(Settings(data_dir=tmp_path / "data"), RESOURCES)
    service.start()
    try:
        [write] = service.queue.accept([create("lamp")])
        assert service.queue.wait(write.id, 30) is not None or service.queue.is_settled(write.id)
        wait_until(lambda: sum(point.settled_per_second for point in service.recent.points()) == 0.5)
        [point] = [point for point in service.recent.points() if point.p50_ms is not None]
        found = service.queue.newest(WriteFilter(), None, 1)[0]
        assert found.settled_at_us is not None
        assert point.p50_ms == point.p95_ms == (found.settled_at_us - found.accepted_at_us) / 1_000
        assert abs(point.time - time.time()) < 30
    finally:
        service.stop()
    assert [kept.cancelled() for kept in service._kept] == [True, True]  # the sampling, and the relay of the outbox


def test_the_depth_is_seen_while_writes_wait(tmp_path: Path) -> None:
    service = Service(Settings(data_dir=tmp_path / "data"), RESOURCES)
    service.start()
    try:
        monitored = RecentFigures(lambda: clock_now[0])
        clock_now = [time.time()]
        job = service.background.submit(monitored.watch(lambda: 42))
        wait_until(lambda: len(monitored._buckets) == 1)
        clock_now[0] += 2
        wait_until(lambda: [point.depth for point in monitored.points()] == [42])
        job.cancel()
    finally:
        service.stop()


def test_the_points_of_all_processes_are_added_and_the_busiest_tells_the_delays() -> None:
    own = [Point(10, 3, 5.0, 1.0, 2.0), Point(12, 0, 0.0, None, None)]
    busy = {"time": 10, "depth": 2, "settled_per_second": 5.0, "p50_ms": 1.0, "p95_ms": 2.0}
    other = busy | {"depth": 7, "settled_per_second": 1.0, "p50_ms": 9.0, "p95_ms": 9.0}
    earlier = busy | {"time": 6}
    assert merged(own, [(10, busy), (10, other), (6, earlier)]) == [
        Point(6, 2, 5.0, 1.0, 2.0),
        Point(8, 0, 0.0, None, None),
        Point(10, 7, 6.0, 1.0, 2.0),
        Point(12, 0, 0.0, None, None),
    ]


def test_there_are_no_points_before_the_first() -> None:
    assert merged([], []) == []
