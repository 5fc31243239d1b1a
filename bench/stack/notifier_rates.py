"""Measures how many results per second the notification service records, and how many webhooks it delivers."""

import time

from bench.many.counters import Counters
from bench.many.databases import connect, count
from bench.plan import Plan
from bench.stack.jobs import waiting_jobs
from bench.stack.messages import fill_results
from bench.stack.places import END_SECONDS, START_SECONDS, helper, new_place, service
from bench.table import Row, median, whole

LEAST_MESSAGES_A_SECOND = 500
LEAST_MESSAGES = 1_000  # several transactions
MESSAGES_FOR_A_SECOND, WEBHOOKS_FOR_A_SECOND = 2_000, 500
# Without those recorded last, because finished_at_us is the start of the recording transaction.
_RATE = """
SELECT (sum(recorded) FILTER (WHERE finished_at_us < last_us) * 1e6 / (max(last_us) - min(finished_at_us)))::bigint
FROM (
    SELECT finished_at_us, count(*) AS recorded, max(finished_at_us) OVER () AS last_us
    FROM afterwrite.tasks WHERE type = 'process_products' AND status = 'COMPLETED' GROUP BY finished_at_us
) AS transactions
"""
_RECORDED = "SELECT count(*) FROM afterwrite.tasks WHERE type = 'process_products' AND status = 'COMPLETED'"


def notifier_rates(plan: Plan) -> list[Row]:
    """Fill the queue with results of waiting jobs, then start the service; without and with callback URLs in turns.

    The result rate is measured with jobs without callback URLs, from the first recording transaction to the last, by
    the database's clock. The webhook rate is measured from the first received webhook to the last; a separate process
    on the same machine receives them, each over a new connection, as in production.
    """
    results, webhooks = [], []
    for number in range(plan.rounds):
        plan.say(f"messages through the notification service, round {number + 1} of {plan.rounds}")
        jobs = max(LEAST_MESSAGES, int(plan.seconds * MESSAGES_FOR_A_SECOND))
        results.append(_results_a_second(plan, jobs))
        webhooks.append(_webhooks_a_second(plan, int(plan.seconds * WEBHOOKS_FOR_A_SECOND)))
    rate = median(results)
    return [
        Row(
            "messages per second through the notification service",
            whole(rate),
            goal=f">= {LEAST_MESSAGES_A_SECOND}",
            reached=rate >= LEAST_MESSAGES_A_SECOND,
        ),
        Row("  webhooks received per second, jobs with callbacks", whole(median(webhooks))),
    ]


def _results_a_second(plan: Plan, jobs: int) -> float:
    with new_place() as place, connect(place.environment["DATABASE_URL"]) as connection:
        fill_results(place, waiting_jobs(place, jobs))
        with service(plan.new_folder(), "notification", place) as notification:
            notification.wait_until_idle()
            notification.wait_until_dealt_with(jobs, END_SECONDS)
        if (recorded := count(connection, _RECORDED)) != jobs:
            raise RuntimeError(f"the notification service recorded {recorded} of {jobs} results")
        return float(count(connection, _RATE))


def _webhooks_a_second(plan: Plan, jobs: int) -> float:
    counters = Counters(plan.new_folder())
    receiver = helper(plan.new_folder(), "bench.stack.webhook_receiver", counters.environment)
    with receiver as port, new_place() as place:
        fill_results(place, waiting_jobs(place, jobs, f"http://127.0.0.1:{port}/called"))
        with service(plan.new_folder(), "notification", place) as notification:
            wait_until = notification.processes.wait_until
            wait_until(lambda: counters.total() > 0, "the first webhook", START_SECONDS)
            before, begin = counters.total(), time.perf_counter()
            wait_until(lambda: counters.total() >= jobs, f"{jobs} webhooks", END_SECONDS)
            return (jobs - before) / (time.perf_counter() - begin)
