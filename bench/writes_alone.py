"""Measures createProducts, which only Afterwrite has."""

from bench import servers
from bench.load import Load, apply_load
from bench.plan import Plan
from bench.table import Row, whole
from bench.workloads import ROWS_PER_REQUEST


def create_products(plan: Plan) -> list[Row]:
    """Send lists of 1,000 products; a row counts once its receipt is answered, so it is on disk."""
    plan.say("createProducts")
    with servers.afterwrite(plan.new_folder()) as server:
        result = apply_load(Load(server.port, "createProducts", max(plan.seconds, 2), clients=4))
        rate = result.per_second * ROWS_PER_REQUEST
    return [Row("createProducts, rows per second, 1,000 a request", whole(rate))]
