"""Measures createProducts, which only Afterwrite has."""

import contextlib
import time

from bench import servers
from bench.load import Load, apply_load
from bench.plan import Plan
from bench.table import Row, whole
from bench.workloads import ROWS_PER_REQUEST

LEAST_ROWS_PER_SECOND = 90_000
_NEWEST = "{ writes(first: 1) { nodes { id } } }"
_RECEIPT = "query Receipt($id: ID!) { write(id: $id) { status } }"
_WAIT = "query Last($id: ID!) { product(productId: 1, afterWrite: $id) { id } }"


def create_products(plan: Plan) -> list[Row]:
    """Send lists of 1,000 products; a row counts once its receipt is answered (it is on disk), and once applied."""
    plan.say("createProducts")
    with servers.afterwrite(plan.new_folder()) as server:
        begin = time.perf_counter()
        result = apply_load(Load(server.port, "createProducts", max(plan.seconds, 2), clients=4))
        rows = len(result.acknowledged) * ROWS_PER_REQUEST
        newest = server.ask(_NEWEST)["writes"]["nodes"][0]["id"]
        while server.ask(_RECEIPT, id=newest)["write"]["status"] == "QUEUED":
            with contextlib.suppress(RuntimeError):  # still waiting after WAIT_SECONDS
                server.ask(_WAIT, id=newest)
        applied = rows / (time.perf_counter() - begin)
    rate = result.per_second * ROWS_PER_REQUEST
    return [
        Row(
            "createProducts, rows per second, 1,000 a request",
            whole(rate),
            goal=f">= {whole(LEAST_ROWS_PER_SECOND)}",
            reached=rate >= LEAST_ROWS_PER_SECOND,
        ),
        Row("  the same, from the first request until all are applied", whole(applied)),
    ]
