"""Tests what the comparison says of the measurements of its rounds."""

import pytest

from bench.compare_rows import Compared
from bench.figures import CREATE, FEW, MANY, Figures, Lost, Measured, Step
from bench.load import Result
from bench.table import Row

SECONDS = 10.0
STEPS = [Step("product", FEW), Step("allProducts", FEW), Step("product", MANY), Step(CREATE, FEW)]


def figures(
    *rates: int, slow_ms: float = 2.0, cpu_seconds: float = 1.0, lost: int = 0, delay_ms: float = 5.0
) -> Figures:
    """The same rounds at every step: answers a second; one in fifty takes `slow_ms`, the others 1 ms."""
    made = Figures(lost=Lost(lost, 100), lost_at_stop=Lost(0, 100))
    for step in STEPS:
        for rate in rates:
            count = int(rate * SECONDS)
            latencies = [slow_ms if number % 50 == 0 else 1.0 for number in range(count)]
            result = Result(SECONDS, latencies, acknowledged=list(range(count)), generator_share=0.3)
            made.add(step, Measured(result, cpu_seconds))
    made.delays_ms = [[delay_ms] for _ in rates]
    made.started_bytes, made.loaded_bytes = [1e8 for _ in rates], [2e8 for _ in rates]
    return made


def rows(ours: Figures, hello: Figures, plain: Figures, before: Figures | None = None) -> dict[str, Row]:
    """The rows about `product`, then what follows the workloads, by their first column."""
    found: dict[str, Row] = {}
    for row in Compared(ours, hello, plain, before, "abc1234").rows():
        found.setdefault(row.measured.strip(), row)
    return found


def test_a_ratio_is_the_median_of_the_rounds_because_a_busy_moment_slows_both_sides() -> None:
    found = rows(figures(100, 10, 90), figures(150, 20, 180), figures(10, 1, 6))
    rate, share = found["product(productId) per second"], found["of hello's rate"]
    assert (rate.ours, rate.beside, rate.ratio) == ("90 (10..100)", "6 (1..10) plain", "10.0 x")
    assert (share.ours, share.beside) == ("50 % (50 %..67 %)", "150 (20..180) hello")
    assert (rate.reached, share.reached) == (False, False)


def test_processor_time_is_told_per_answer_beside_that_of_the_others() -> None:
    found = rows(figures(100, cpu_seconds=0.5), figures(100, cpu_seconds=0.25), figures(100, cpu_seconds=2))
    cpu = found["CPU per request"]
    assert (cpu.ours, cpu.beside, cpu.ratio) == ("500 us", "250 us hello, 2,000 us plain", "2.0 x hello")


def test_the_commit_before_is_told_beside_with_the_ratios_of_the_rounds() -> None:
    found = rows(figures(100, 220), figures(300, 300), figures(10, 10), figures(100, 200, cpu_seconds=2))
    rate, cpu = found["rate, now and before"], found["CPU per request, now and before"]
    assert (rate.beside, rate.ratio) == ("150 (100..200) abc1234", "1.05 x (1.00 x..1.10 x)")
    assert cpu.ratio == "0.48 x (0.45 x..0.50 x)"
    assert "rate, now and before" not in rows(figures(100), figures(300), figures(10))


@pytest.mark.parametrize(("slow_ms", "reached"), [(4.0, True), (4.1, False)])
def test_reads_may_have_a_p99_of_four_times_p50(slow_ms: float, reached: bool) -> None:
    found = rows(figures(100, slow_ms=slow_ms), figures(100), figures(10))
    assert [found[f"p50, p99 with {clients} clients"].reached for clients in (FEW, MANY)] == [reached, reached]


@pytest.mark.parametrize(("lost", "delay_ms", "reached"), [(0, 14.9, [True, True]), (1, 15.0, [False, False])])
def test_creates_must_not_be_lost_and_be_applied_soon(lost: int, delay_ms: float, reached: list[bool]) -> None:
    found = rows(figures(100, lost=lost, delay_ms=delay_ms), figures(100), figures(10, lost=40))
    row = found["acknowledged but not stored"]
    assert row.beside == "40 of 100 (40%) plain"
    assert [row.reached, found["from accepted to applied, under this load: p50"].reached] == reached
