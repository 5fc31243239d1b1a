"""Measures the cost of a claim with a million finished tasks in the table, and without them."""

import time

from afterwrite.tasks.store import TaskStore
from bench.many.databases import connect, new_database, settle
from bench.many.own_tasks import task_runtime
from bench.noop_workers import TASK_TYPE
from bench.plan import Plan
from bench.table import Row, median, ms, whole

CLAIMED_AT_ONCE = 10
CLAIMS_FOR_A_SECOND, WARM_CLAIMS = 50, 10
FINISHED_FOR_ONE_WAITING = 10
MOST_TIMES = 1.5
ADDED_AT_ONCE = 100_000

# Times are spread over the 30 days of retention; one task in twenty has failed, every fourth has a named creator, every
# tenth has a key.
FINISHED = """
INSERT INTO afterwrite.tasks (id, type, status, progress, payload_json, result_json, error_code, error_message,
    error_is_final, attempt, max_attempts, priority, run_at_us, ready, cancel_asked, correlation_id, idempotency_key,
    renewals, claim, created_at_us, updated_at_us, started_at_us, finished_at_us, search_text, created_by)
SELECT id, type, CASE WHEN failed THEN 'FAILED' ELSE 'COMPLETED' END, CASE WHEN failed THEN 0 ELSE 100 END,
    format('{"order": %%s, "note": "Leave it with the neighbours."}', id),
    CASE WHEN NOT failed THEN format('{"receipt": "%%s"}', md5(id::text)) END,
    CASE WHEN failed THEN 'WORKER_ERROR' END, CASE WHEN failed THEN 'the other side did not answer' END,
    failed::int, CASE WHEN failed THEN 5 ELSE 1 END, 5, id %% 3, at_us, 0, 0,
    CASE WHEN id %% 2 = 0 THEN md5('c' || id) END, CASE WHEN id %% 10 = 0 THEN md5('k' || id) END,
    0, 1, at_us, at_us + 9000, at_us + 3000, at_us + 9000, type || ' ' || id,
    CASE WHEN id %% 4 = 0 THEN 'caller-' || id %% 50 END
FROM (
    SELECT id, (ARRAY['noop', 'entry', 'process', 'webhook_delivery'])[1 + id %% 4] AS type, id %% 20 = 7 AS failed,
        %(now_us)s - 2592000000000 + id * 2000000 AS at_us
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS id
) AS made
"""
# All claimable, in an order other than by id.
WAITING = """
INSERT INTO afterwrite.tasks (id, type, status, progress, payload_json, error_is_final, attempt, max_attempts,
    priority, run_at_us, ready, cancel_asked, renewals, claim, created_at_us, updated_at_us, search_text)
SELECT id, %(type)s, 'PENDING', 0, format('{"order": %%s}', id), 0, 0, 5, id %% 3, %(now_us)s - id * 7919 %% 1000000007,
    1, 0, 0, 0, %(now_us)s, %(now_us)s, %(type)s::text || ' ' || id
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS id
"""


def claim_cost(plan: Plan) -> list[Row]:
    """Claim ten tasks at a time from both databases in turns, as a worker process does; compare the medians."""
    claims = int(plan.seconds * CLAIMS_FOR_A_SECOND) * plan.rounds
    few, waiting = (WARM_CLAIMS + claims) * CLAIMED_AT_ONCE, plan.finished_tasks // FINISHED_FOR_ONE_WAITING
    with new_database() as small, new_database() as big, task_runtime(small) as of_small, task_runtime(big) as of_big:
        plan.say(f"claims beside {plan.finished_tasks:,} finished and {waiting:,} waiting tasks: filling")
        _fill(small, 0, few)
        _fill(big, plan.finished_tasks, waiting)
        plan.say(f"{claims} claims in each of the two databases")
        small_ms, big_ms = _claim_in_turns([of_small.store, of_big.store], claims)
    title = f"claim of {CLAIMED_AT_ONCE}, {whole(plan.finished_tasks)} finished and {whole(waiting)} waiting tasks"
    ratio = big_ms / small_ms
    beside = f"{ms(small_ms)} with nothing else"
    return [Row(title, ms(big_ms), beside, f"{ratio:.2f} x", f"<= {MOST_TIMES} x", ratio <= MOST_TIMES)]


def _fill(url: str, finished: int, waiting: int) -> None:
    """Insert tasks into an empty database, the finished ones first."""
    now_us = time.time_ns() // 1_000
    with connect(url) as connection:
        for statement, first, last in ((FINISHED, 1, finished), (WAITING, finished + 1, finished + waiting)):
            for start in range(first, last + 1, ADDED_AT_ONCE):
                values = {"first": start, "last": min(last, start + ADDED_AT_ONCE - 1)}
                connection.execute(statement, {**values, "now_us": now_us, "type": TASK_TYPE})
    settle(url)


def _claim_in_turns(stores: list[TaskStore], claims: int) -> list[float]:
    """The median time of each store's claims in milliseconds."""
    taken: list[list[float]] = [[] for _ in stores]
    for _ in range(WARM_CLAIMS + claims):
        for store, some in zip(stores, taken, strict=True):
            begin = time.perf_counter()
            turn = store.claim_and_record("bench", [], {TASK_TYPE: CLAIMED_AT_ONCE})
            some.append((time.perf_counter() - begin) * 1_000)
            if len(turn.claimed) != CLAIMED_AT_ONCE:
                raise RuntimeError(f"{len(turn.claimed)} of {CLAIMED_AT_ONCE} tasks were claimed")
    return [median(some[WARM_CLAIMS:]) for some in taken]
