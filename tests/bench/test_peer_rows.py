"""Tests what the comparison with the peers says of the measurements of its rounds."""

import pytest

from bench.figures import CREATE, FEW, Figures, Lost, Measured, Step
from bench.load import Result
from bench.peers.compare_peers import PeerRows
from bench.table import Row


def figures(*latencies_ms: float, lost: int = 0) -> Figures:
    """One client; a round for each latency, which all its answers have."""
    made = Figures(lost_at_kill=Lost(lost, 100), started_bytes=[5e7], loaded_bytes=[6e7])
    for workload in ("product", "allProducts", CREATE):
        for latency in latencies_ms:
            answers = [latency] * round(1_000 / latency)
            result = Result(1.0, answers, acknowledged=list(range(len(answers))))
            made.add(Step(workload, FEW), Measured(result, 0.5))
    return made


def rows(ours: Figures, lost: int = 0, **peers: Figures) -> dict[str, Row]:
    """The first row of each name."""
    found: dict[str, Row] = {}
    for row in PeerRows({"Afterwrite": ours}, peers, peers, peers).rows():
        found.setdefault(row.measured.strip(), row)
    return found


def test_the_ratio_is_to_the_peer_that_is_best_at_the_figure() -> None:
    found = rows(figures(1.0), Slow=figures(20.0), Fast=figures(4.0))
    rate, p99 = found["product(productId) per second"], found["p99"]
    assert (rate.ours, rate.beside, rate.ratio) == ("1,000", "Slow 50, Fast 250", "4.0 x Fast")
    assert (p99.beside, p99.ratio, p99.reached) == ("Slow 20.0 ms, Fast 4.00 ms", "4.0 x Fast", False)


@pytest.mark.parametrize(("latency_ms", "reached"), [(5.0, True), (4.0, False)])
def test_five_times_the_best_peer_is_the_goal_of_rates_and_latencies(latency_ms: float, reached: bool) -> None:
    found = rows(figures(1.0), Peer=figures(latency_ms))
    assert [found[name].reached for name in ("product(productId) per second", "p50", "p99")] == [reached] * 3


@pytest.mark.parametrize("lost", [0, 1])
def test_a_create_that_was_acknowledged_and_lost_misses_the_goal(lost: int) -> None:
    row = rows(figures(1.0, lost=lost), Peer=figures(5.0, lost=2))["acknowledged and lost at SIGKILL"]
    assert (row.beside, row.reached) == ("Peer 2 of 100 (2%)", not lost)
