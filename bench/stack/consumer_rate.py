"""Measures how many requests per second the consumer forwards to a stubbed Airflow."""

import time

from bench.many.counters import Counters
from bench.plan import Plan
from bench.stack.messages import fill_requests
from bench.stack.places import END_SECONDS, START_SECONDS, helper, new_place, service
from bench.table import Row, median, whole

LEAST_MESSAGES_A_SECOND = 500
MESSAGES_FOR_A_SECOND = 1_000


def consumer_rate(plan: Plan) -> list[Row]:
    """Fill the queue, then start the consumer; measure from the first run that the stub creates to the last.

    The stub is a separate process on the same machine, answers at once and counts each run once. Every message must be
    acknowledged, or the measurement fails.
    """
    count = int(plan.seconds * MESSAGES_FOR_A_SECOND)
    rates = []
    for number in range(plan.rounds):
        plan.say(f"{count} messages through the consumer, round {number + 1} of {plan.rounds}")
        rates.append(_rate(plan, count))
    rate = median(rates)
    title = "messages per second through the consumer, Airflow stubbed"
    goal, reached = f">= {LEAST_MESSAGES_A_SECOND}", rate >= LEAST_MESSAGES_A_SECOND
    return [Row(title, whole(rate), goal=goal, reached=reached)]


def _rate(plan: Plan, count: int) -> float:
    counters = Counters(plan.new_folder())
    stub = helper(plan.new_folder(), "bench.stack.airflow_stub", counters.environment)
    with stub as port, new_place(AIRFLOW_URL=f"http://127.0.0.1:{port}") as place:
        fill_requests(place, count)
        with service(plan.new_folder(), "consumer", place) as consumer:
            wait_until = consumer.processes.wait_until
            wait_until(lambda: counters.total() > 0, "the first run", START_SECONDS)
            before, begin = counters.total(), time.perf_counter()
            wait_until(lambda: counters.total() >= count, f"{count} runs", END_SECONDS)
            rate = (count - before) / (time.perf_counter() - begin)
            consumer.wait_until_dealt_with(count, END_SECONDS)
    return rate
