"""Sets the clock years ahead and back: nothing is deleted that was kept for a short time only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from faked_clock import clock_set
from postgres_cluster import PostgresCluster
from server_process import ServerProcess, wait_until

from afterwrite.storage.retention_clock import RetentionClock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sets the clock of a process of Linux")

Start = Callable[[str], ServerProcess]
DAY_US, YEAR_US = 86_400_000_000, 365 * 86_400_000_000
NOW_US = 50 * YEAR_US
LIMITS = {"TASK_RETENTION_DAYS": "1", "IDEMPOTENCY_HOURS": "1", "STAGE_SECONDS": "0"}
_CREATE = """mutation ($key: String!) {
  createProduct(title: "Lamp", price: 1, idempotencyKey: $key) { write { id } } }"""


@pytest.fixture(params=["sqlite", "postgresql"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Starts a server on one installation, the clock of its machine and of its database off by so much."""
    running: list[ServerProcess] = []

    def launch(offset: str, **environment: str) -> ServerProcess:
        while running:
            running.pop().stop()
        running.append(ServerProcess(tmp_path / "data", **LIMITS, **environment))
        return running[0]

    if request.param == "sqlite":
        yield lambda offset: launch(offset, **clock_set(offset)).start()
    else:
        with closing(_Closing()) as cluster:

            def start_on_cluster(offset: str) -> ServerProcess:
                server = launch(offset, DATABASE_URL=cluster.url, **clock_set(offset))
                cluster.restart_with(**clock_set(offset))
                return server.start()

            yield start_on_cluster
    for server in running:
        server.kill()


class _Closing(PostgresCluster):
    close = PostgresCluster.remove


def _entry(server: ServerProcess) -> str:
    """Create a task and wait until it has ended; the deletion of old ones has begun before."""
    entry = str(server.query('mutation { createEntry(title: "E") { id } }')["createEntry"]["id"])
    status = f'{{ task(id: "{entry}") {{ status }} }}'
    wait_until(lambda: server.query(status)["task"]["status"] == "COMPLETED")
    return entry


def _write(server: ServerProcess, key: str) -> str:
    """The write of this key, which is settled; a key that was forgotten has another one each time."""
    write = str(server.query(_CREATE, {"key": key})["createProduct"]["write"]["id"])
    status = f'{{ write(id: "{write}") {{ status }} }}'
    wait_until(lambda: server.query(status)["write"]["status"] == "APPLIED")
    return write


@pytest.mark.parametrize("offset", ["+10y", "-10y"])
def test_a_clock_that_is_ten_years_off_for_a_while_deletes_nothing_that_has_just_ended(
    start: Start, offset: str
) -> None:
    entries, writes = [], {}
    # The third start finds records that were made under the wrong clock.
    for number, given in enumerate(["+0", offset, offset, "+0"]):
        server = start(given)
        entries.append(_entry(server))
        writes[str(number)] = _write(server, str(number))
        assert {key: _write(server, key) for key in writes} == writes
        found = server.query("{ tasks(first: 100) { edges { node { id } } } }")["tasks"]["edges"]
        assert sorted(edge["node"]["id"] for edge in found) == sorted(entries)


class Machine:
    """A process with its clock of retention over what the database keeps; ``seconds`` is the clock nobody sets."""

    def __init__(self) -> None:
        self.seconds, self.kept = 0.0, None
        self.restart()

    kept: str | None

    def restart(self) -> None:
        self.clock = RetentionClock("tasks", lambda: self.seconds)

    def read(self, real_us: int, oldest_us: int | None = None) -> int:
        reading = self.clock.read(self.kept, real_us, oldest_us)
        self.kept = reading.kept
        self.clock.learn(reading)
        return reading.time_us


def test_while_the_clock_is_right_the_time_of_retention_is_the_real_one() -> None:
    machine = Machine()
    for minute in range(100):
        machine.seconds = minute * 60
        real_us = NOW_US + minute * 60_000_000
        assert machine.read(real_us, NOW_US if minute else None) == real_us


def test_the_first_reading_leaves_the_oldest_record_all_of_its_time_and_then_catches_up() -> None:
    machine = Machine()
    assert machine.read(NOW_US, NOW_US - DAY_US) == NOW_US - DAY_US
    machine.seconds += 3 * 3_600
    assert machine.read(NOW_US + 3 * 3_600_000_000, NOW_US - DAY_US) == NOW_US + 3 * 3_600_000_000


def test_a_jump_ahead_is_followed_ten_times_as_fast_as_time_passes_at_the_most() -> None:
    machine = Machine()
    machine.read(NOW_US)
    machine.seconds += 3_600
    assert machine.read(NOW_US + 10 * YEAR_US, NOW_US) == NOW_US + 10 * 3_600_000_000
    machine.restart()
    assert machine.read(NOW_US + 10 * YEAR_US, NOW_US) == NOW_US + 10 * 3_600_000_000
    assert machine.read(NOW_US + 3_600_000_000, NOW_US) == NOW_US + 3_600_000_000


def test_processes_that_share_a_database_do_not_make_it_faster_together() -> None:
    one, other = Machine(), Machine()
    for minute in range(61):
        for machine, next_one in ((one, other), (other, one)):
            machine.seconds = minute * 60
            time_us = machine.read(NOW_US + (10 * YEAR_US if minute else 0), NOW_US)
            next_one.kept = machine.kept
    assert time_us == NOW_US + 10 * 3_600_000_000


def test_after_a_clock_that_was_set_back_what_ended_then_is_kept_for_a_tenth_of_its_time() -> None:
    machine = Machine()
    machine.read(NOW_US)
    past_us = NOW_US - 20 * YEAR_US
    assert machine.read(past_us, past_us) == past_us
    assert machine.read(NOW_US, past_us) == past_us
    machine.seconds += 3_600
    assert machine.read(NOW_US, past_us) == past_us + 10 * 3_600_000_000
    # What ended then is gone: the others have right times, and nothing lies between.
    assert machine.read(NOW_US, NOW_US - DAY_US) == NOW_US - DAY_US


@pytest.mark.parametrize("oldest_us", [None, NOW_US - DAY_US])
def test_a_clock_that_is_years_back_between_two_readings_only_deletes_nothing_at_once(oldest_us: int | None) -> None:
    machine, other = Machine(), Machine()
    machine.read(NOW_US, oldest_us)
    machine.seconds = other.seconds = 60
    past_us, real_us = NOW_US - 10 * YEAR_US, NOW_US + 60_000_000
    assert machine.read(real_us, past_us) == past_us
    other.kept = machine.kept
    assert other.read(real_us, past_us) == past_us
    machine.seconds += 60
    assert machine.read(real_us + 60_000_000, past_us) == past_us + 600_000_000


def test_a_clock_that_jumps_ahead_between_two_readings_only_deletes_nothing_at_once() -> None:
    machine = Machine()
    ahead_us = NOW_US + 10 * YEAR_US
    assert machine.read(ahead_us) == ahead_us  # there is nothing that could be too old
    machine.seconds += 60
    # Meanwhile the clock was right, a record was made, and the clock has jumped ahead once more.
    assert machine.read(ahead_us, NOW_US) == NOW_US
