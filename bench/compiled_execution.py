"""Measures a page of ten products with and without compiled execution, end to end."""

from bench import servers
from bench.compare import our_catalogue
from bench.load import Load, Result, apply_load
from bench.plan import Plan
from bench.rounds import CATALOGUE_SIZE
from bench.table import Row, median, ms, whole

SLICES = 4
LEAST_TIMES = 1.3

Round = tuple[list[Result], list[Result]]  # with compiled execution, without


def compiled_execution(plan: Plan) -> list[Row]:
    """Query ten products x 7 fields from two servers in turns, on the same data."""
    home = our_catalogue(plan.new_folder() / "catalogue", CATALOGUE_SIZE)
    rounds = []
    with servers.afterwrite(plan.copy_of(home)) as compiled, servers.interpreted(plan.copy_of(home)) as interpreted:
        for number in range(plan.rounds):
            plan.say(f"round {number + 1} of {plan.rounds}: compiled execution on, off")
            rounds.append(_round(plan.seconds / SLICES, compiled.port, interpreted.port))
    return _rows(rounds)


def _round(seconds: float, compiled: int, interpreted: int) -> Round:
    """Alternate the servers in short slices and changing order, so that a busy machine slows both alike."""
    results: dict[int, list[Result]] = {compiled: [], interpreted: []}
    for number in range(SLICES):
        for port in (compiled, interpreted) if number % 2 == 0 else (interpreted, compiled):
            results[port].append(apply_load(Load(port, "allProducts", seconds, catalogue_size=CATALOGUE_SIZE)))
    return results[compiled], results[interpreted]


def _rows(rounds: list[Round]) -> list[Row]:
    on, off = ([_rate(results) for results in side] for side in zip(*rounds, strict=True))
    ratio = median(one / other for one, other in zip(on, off, strict=True))
    p50_on, p50_off = (median(_p50(results) for results in side) for side in zip(*rounds, strict=True))
    return [
        Row(
            "ten products x 7 fields per second, compiled execution",
            whole(median(on)),
            f"{whole(median(off))} graphql-core",
            f"{ratio:.2f} x",
            f">= {LEAST_TIMES} x",
            ratio >= LEAST_TIMES,
        ),
        Row("  its p50", ms(p50_on), f"{ms(p50_off)} graphql-core"),
    ]


def _rate(results: list[Result]) -> float:
    return sum(len(result.latencies_ms) for result in results) / sum(result.seconds for result in results)


def _p50(results: list[Result]) -> float:
    return median(latency for result in results for latency in result.latencies_ms)
