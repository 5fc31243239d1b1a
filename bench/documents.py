"""Measures unknown and wrong documents: their own cost, and what a flood of them does to others."""

from concurrent.futures import ThreadPoolExecutor

from bench import servers
from bench.compare import our_catalogue
from bench.load import Load, Result, apply_load
from bench.plan import Plan
from bench.rounds import CATALOGUE_SIZE
from bench.table import Row, median, ms, whole

HONEST, FLOODING = 4, 8
REPEATED = {"product": "a known document", "wrongAgain": "a known wrong one"}
FLOODS = {
    "newValid": "new valid documents",
    "newSyntax": "new documents that do not parse",
    "newRules": "new documents that break a rule",
    "newLong": "new documents of 1,000 fields",
}

Latencies = dict[str, list[tuple[Result, Result]]]
"""By flood, for each round: the results of the honest client and of the flood."""


def cold_documents(plan: Plan) -> list[Row]:
    """Query one product, alone and beside a client that sends only documents that the server has never seen."""
    folder = our_catalogue(plan.folder / "documents", CATALOGUE_SIZE)
    alone: dict[str, list[Result]] = {name: [] for name in ("quiet", *REPEATED)}
    beside: Latencies = {name: [] for name in FLOODS}
    with servers.afterwrite(folder) as server:
        for number in range(plan.rounds):
            plan.say(f"round {number + 1} of {plan.rounds}: known documents, floods of new ones")
            for name in REPEATED:
                alone[name].append(apply_load(Load(server.port, name, plan.seconds, catalogue_size=CATALOGUE_SIZE)))
            alone["quiet"].append(apply_load(_honest(server.port, plan)))
            for name in FLOODS:
                beside[name].append(_flood(server.port, plan, name, number))
    return [*_repeated_rows(alone), *_flood_rows(alone["quiet"], beside)]


def _honest(port: int, plan: Plan) -> Load:
    return Load(port, "product", plan.seconds, clients=HONEST, catalogue_size=CATALOGUE_SIZE)


def _flood(port: int, plan: Plan, name: str, number: int) -> tuple[Result, Result]:
    # The flood begins with the warm-up of the honest client and outlasts it; no document occurs in two rounds.
    flood = Load(port, name, plan.seconds + 0.5, clients=FLOODING, first_number=number * 10_000_000)
    with ThreadPoolExecutor(2) as pool:
        flooding = pool.submit(apply_load, flood)
        honest = pool.submit(apply_load, _honest(port, plan))
        return honest.result(), flooding.result()


def _repeated_rows(alone: dict[str, list[Result]]) -> list[Row]:
    known = median(result.per_second for result in alone["product"])
    wrong = median(result.per_second for result in alone["wrongAgain"])
    beside = f"{whole(known)} `product`"
    return [Row("the same wrong document per second", whole(wrong), beside, f"{wrong / known:.2f} x")]


def _flood_rows(quiet: list[Result], beside: Latencies) -> list[Row]:
    rows = [Row(f"`product` of {HONEST} clients, alone: p50, p99", _latencies(quiet))]
    for name, title in FLOODS.items():
        honest, flood = zip(*beside[name], strict=True)
        slower = _percentile(honest, 99) / _percentile(quiet, 99)
        rate = f"{whole(median(result.per_second for result in flood))} of the flood/s"
        rows.append(Row(f"  beside {title}", _latencies(honest), rate, f"p99 {slower:.1f} x"))
    return rows


def _latencies(results: list[Result] | tuple[Result, ...]) -> str:
    return f"{ms(_percentile(results, 50))}, {ms(_percentile(results, 99))}"


def _percentile(results: list[Result] | tuple[Result, ...], percent: float) -> float:
    return median(result.percentile_ms(percent) for result in results)
