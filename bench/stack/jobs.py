"""Creates jobs that wait for the results of their runs."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from afterwrite.base.tracing import new_trace
from afterwrite.jobs.callbacks import Callbacks
from afterwrite.jobs.messages import COMPLETED, Result
from afterwrite.jobs.pipeline import transform, validate, verdict, with_products
from afterwrite.tasks.store import TaskStore
from afterwrite.tasks.task import NewTask
from afterwrite.tasks.worker import next_stage
from afterwrite.tasks.workers.process_on_airflow import PROGRESS, PUBLISHED
from afterwrite.tasks.workers.process_products import PROCESS_PRODUCTS, ProcessProductsWorker
from bench.many.databases import connect, settle
from bench.many.own_tasks import task_runtime
from bench.stack.places import Place

PRODUCTS = [
    {"title": f"Desk Lamp {number}", "price": 19.99, "category": "home-lamps", "rating": {"rate": 4, "count": 7}}
    for number in range(3)
]
MADE_AT_ONCE = 500
LOOKED_AFTER_SECONDS = 600.0  # no check of these jobs is due during the measurement
_WORKER = "bench"
_ADD_RUN = """
INSERT INTO afterwrite.process_runs (run_id, task_id, report_json, ended_at)
SELECT run_id, task_id, %s, now() FROM unnest(%s::text[], %s::bigint[]) AS made (run_id, task_id)
"""


def waiting_jobs(place: Place, count: int, callback_url: str | None = None) -> list[Result]:
    """Create PUBLISHED jobs whose runs have stored a report; return the results to publish.

    Each has passed the stage that publishes its request, without the request; a callback URL is in its row and in
    Redis.
    """
    url, results = place.environment["DATABASE_URL"], []
    with task_runtime(url, [ProcessProductsWorker(place.settings.task_payload_max_bytes)]) as runtime:
        for number in range(0, count, MADE_AT_ONCE):
            some = range(number, min(number + MADE_AT_ONCE, count))
            runtime.queue.create_many([_new_task(number, callback_url) for number in some])
            results += [Result(run_id, task_id, run_id, COMPLETED) for run_id, task_id in _publish(runtime.store)]
    with connect(url) as connection:
        runs = [result.run_id for result in results], [result.task_id for result in results]
        connection.execute(_ADD_RUN, (json.dumps(report()), *runs))
    if callback_url is not None:
        asyncio.run(_keep_callbacks(place, results, callback_url))
    settle(url)
    return results


def report() -> dict[str, Any]:
    """The report of a run over PRODUCTS."""
    checked, limit = validate(PRODUCTS), 1 << 20
    made = with_products(verdict(checked, limit), transform(checked.products), limit)
    return made | {"completedAt": datetime.now(UTC).isoformat()}


def _new_task(number: int, callback_url: str | None) -> NewTask:
    return NewTask(
        PROCESS_PRODUCTS,
        {"products": PRODUCTS},
        correlation_id=f"job-{number}",
        callback_url=callback_url,
        traceparent=new_trace(),
    )


def _publish(store: TaskStore) -> Iterator[tuple[str, int]]:
    """Move new tasks to the stage PUBLISHED, as their worker does; yield their run ids and ids."""
    claimed = store.claim_and_record(_WORKER, [], {PROCESS_PRODUCTS: MADE_AT_ONCE}).claimed
    outcomes = []
    for task in claimed:
        assert task.correlation_id is not None
        left = {"runId": task.correlation_id, "publishedAt": 0.0, "timesPublished": 1, "looks": 0}
        stage = next_stage(PUBLISHED, PROGRESS[PUBLISHED], left, delay_seconds=LOOKED_AFTER_SECONDS)
        outcomes.append((task, stage))
        yield task.correlation_id, task.id
    store.claim_and_record(_WORKER, outcomes, {})


async def _keep_callbacks(place: Place, results: Sequence[Result], url: str) -> None:
    callbacks = Callbacks(place.settings)
    for result in results:
        await callbacks.keep(result.run_id, url)
    await callbacks.close()
