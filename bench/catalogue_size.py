"""Measures figures that must not grow with the catalogue: a search without hits, and startup time."""

from bench import servers
from bench.compare import our_catalogue
from bench.load import Load, apply_load
from bench.plan import Plan
from bench.table import Row, median, ms, times, whole

SMALL_PRODUCTS = 10_000
START_PRODUCTS = 100_000
READY_SECONDS = 1.5
SLOWER_AT_MOST = 2
STARTS = 3


def search_misses(plan: Plan) -> list[Row]:
    """Time a search without hits, with one client, in a small and a big catalogue.

    The first term has trigrams that no product has. All trigrams of the second are frequent, and some products contain
    all of them: the index alone cannot exclude these, so this row has no goal.
    """
    median_ms = {}
    for size in (SMALL_PRODUCTS, plan.search_products):
        plan.say(f"search in {size:,} products")
        folder = our_catalogue(plan.folder / f"search-{size}", size)
        with servers.afterwrite(folder) as server:
            for name in ("searchMiss", "searchNearMiss"):
                result = apply_load(Load(server.port, name, plan.seconds, clients=1))
                median_ms[name, size] = result.percentile_ms(50)
    return [
        _search_row("search that misses", "searchMiss", plan.search_products, median_ms, SLOWER_AT_MOST),
        _search_row("  its parts all there", "searchNearMiss", plan.search_products, median_ms, None),
    ]


def _search_row(title: str, name: str, size: int, median_ms: dict[tuple[str, int], float], most: int | None) -> Row:
    big, small = median_ms[name, size], median_ms[name, SMALL_PRODUCTS]
    return Row(
        f"{title}, {size:,} products",
        ms(big),
        f"{ms(small)} in {SMALL_PRODUCTS:,}",
        times(big / small),
        "" if most is None else f"<= {most} x",
        None if most is None else big / small <= most,
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
