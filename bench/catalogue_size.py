"""Measures figures that must not grow with the catalogue: searches, and startup time."""

from bench import servers
from bench.compare import our_catalogue
from bench.load import Load, Result, apply_load
from bench.plan import Plan
from bench.table import Row, median, ms, times, whole
from bench.workloads import SEARCHES

SMALL_PRODUCTS = 10_000
START_PRODUCTS = 100_000
READY_SECONDS = 1.5
SLOWER_AT_MOST = 2
SEARCH_MS, SEARCH_P99_MS = 3, 10
STARTS = 3


def searches(plan: Plan) -> list[Row]:
    """Time first pages of ten, and misses, with one client, in a small and a big catalogue."""
    results = {}
    for size in (SMALL_PRODUCTS, plan.search_products):
        plan.say(f"search in {size:,} products")
        folder = our_catalogue(plan.folder / f"search-{size}", size)
        with servers.afterwrite(folder) as server:
            for name in SEARCHES:
                results[name, size] = apply_load(Load(server.port, name, plan.seconds, clients=1))
    return [
        Row(f"search in {plan.search_products:,} products, p50", ""),
        *(_search_row(name, plan, results) for name in SEARCHES),
    ]


def _search_row(name: str, plan: Plan, results: dict[tuple[str, int], Result]) -> Row:
    big, small = results[name, plan.search_products], results[name, SMALL_PRODUCTS]
    half, most, in_small = big.percentile_ms(50), big.percentile_ms(99), small.percentile_ms(50)
    return Row(
        f"  {SEARCHES[name][0]}",
        f"{ms(half)}, p99 {ms(most)}",
        f"{ms(in_small)} in {SMALL_PRODUCTS:,}",
        times(half / in_small),
        f"<= {SEARCH_MS} ms, p99 {SEARCH_P99_MS}, {SLOWER_AT_MOST} x",
        half <= SEARCH_MS and most <= SEARCH_P99_MS and half / in_small <= SLOWER_AT_MOST,
    )


def start_to_ready(plan: Plan) -> list[Row]:
    """Start the server on a catalogue of 100,000 products; ready is when /ready answers 200."""
    plan.say(f"start with {START_PRODUCTS:,} products")
    folder = our_catalogue(plan.folder / "start", START_PRODUCTS)
    seconds = []
    for _ in range(STARTS):
        with servers.afterwrite(folder) as server:
            seconds.append(server.ready_seconds)
    ready = median(seconds)
    title = f"start to ready, {whole(START_PRODUCTS)} products"
    return [Row(title, f"{ready:.2f} s", goal=f"<= {READY_SECONDS} s", reached=ready <= READY_SECONDS)]
