"""Measures what only Afterwrite has: createProducts, and the delay from accepted to applied."""

from datetime import datetime

from bench import servers
from bench.load import Load, apply_load
from bench.plan import Plan
from bench.table import Row, ms, percentile, whole
from bench.workloads import ROWS_PER_REQUEST

KEEP_EVERY = 10
RECEIPTS_PER_QUERY = 20
MOST_RECEIPTS = 2_000


def create_products(plan: Plan) -> list[Row]:
    """Send lists of 1,000 products; a row counts once its receipt is answered, so it is on disk."""
    plan.say("createProducts")
    with servers.afterwrite(plan.new_folder()) as server:
        result = apply_load(Load(server.port, "createProducts", max(plan.seconds, 2), clients=4))
        rate = result.per_second * ROWS_PER_REQUEST
    return [Row("createProducts, rows per second, 1,000 a request", whole(rate))]


def accept_to_applied(plan: Plan) -> list[Row]:
    """Create under full load, then read acceptedAt and settledAt from every tenth receipt."""
    plan.say("accept to applied")
    with servers.afterwrite(plan.new_folder()) as server:
        load = Load(server.port, "createReceipt", plan.seconds, keep_every=KEEP_EVERY)
        kept = apply_load(load).kept
        ids = [body.split('"id":')[1].split('"')[1] for body in kept][:MOST_RECEIPTS]
        wait = "query Last($id: ID!) { product(productId: 1, afterWrite: $id) { id } }"
        server.ask(wait, id=ids[-1])
        delays = _delays_ms(server, ids)
    return [
        Row(f"accept to applied under load, p50 of {whole(len(delays))}", ms(percentile(delays, 50))),
        Row("  its p99", ms(percentile(delays, 99))),
    ]


def _delays_ms(server: servers.Server, ids: list[str]) -> list[float]:
    delays = []
    for start in range(0, len(ids), RECEIPTS_PER_QUERY):
        some = ids[start : start + RECEIPTS_PER_QUERY]
        fields = " ".join(f'w{at}: write(id: "{id_}") {{ acceptedAt settledAt }}' for at, id_ in enumerate(some))
        receipts = server.ask(f"{{ {fields} }}")
        delays += [_delay_ms(receipts[f"w{at}"]) for at in range(len(some))]
    return delays


def _delay_ms(receipt: dict[str, str]) -> float:
    accepted, settled = (datetime.fromisoformat(receipt[name]) for name in ("acceptedAt", "settledAt"))
    return (settled - accepted).total_seconds() * 1_000
