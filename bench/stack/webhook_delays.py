"""Measures the time from a result in RabbitMQ until the job's submitter receives the webhook."""

import asyncio
import json
import random
import time
from collections.abc import Sequence

from afterwrite.jobs.broker import RESULTS, Broker
from afterwrite.jobs.messages import Result
from bench.plan import Plan
from bench.servers import free_port
from bench.stack.http_answers import listen
from bench.stack.jobs import waiting_jobs
from bench.stack.messages import publish
from bench.stack.places import Place, new_place, service
from bench.table import Row, median, ms, percentile
from bench.task_starts import LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, SEED, WAIT_SECONDS

MOST_P50_MS = 100
JOBS_FOR_A_SECOND, WARM_JOBS = 50, 20

Arrivals = asyncio.Queue[tuple[str, float]]


def webhook_delays(plan: Plan) -> list[Row]:
    """Publish results one after the other, each after the previous webhook and a short random pause.

    The time is measured from before publishing, including RabbitMQ's confirmation, until the complete webhook has
    arrived; both ends are in this process. Only the notification service runs tasks.
    """
    jobs = int(plan.seconds * JOBS_FOR_A_SECOND)
    delays = []
    for number in range(plan.rounds):
        plan.say(f"result to webhook, {jobs} jobs, round {number + 1} of {plan.rounds}")
        delays.append(_round(plan, jobs, random.Random(SEED + number)))
    p50, p99 = (median(percentile(some, percent) for some in delays) for percent in (50, 99))
    title = "result published to webhook received, p50"
    return [Row(title, ms(p50), goal=f"< {MOST_P50_MS} ms", reached=p50 < MOST_P50_MS), Row("  its p99", ms(p99))]


def _round(plan: Plan, jobs: int, chance: random.Random) -> list[float]:
    port = free_port()
    with new_place() as place:
        results = waiting_jobs(place, WARM_JOBS + jobs, f"http://127.0.0.1:{port}/called")
        with service(plan.new_folder(), "notification", place) as notification:
            notification.wait_until_idle()
            return asyncio.run(_delays_ms(place, port, results, chance))[WARM_JOBS:]


async def _delays_ms(place: Place, port: int, results: Sequence[Result], chance: random.Random) -> list[float]:
    arrivals: Arrivals = asyncio.Queue()

    def receive(_method: str, _path: str, body: bytes) -> tuple[int, bytes]:
        now = time.perf_counter()
        arrivals.put_nowait((json.loads(body)["correlation_id"], now))
        return 200, b""

    broker, delays = Broker(place.settings), []
    async with await listen(port, receive):
        for result in results:
            await asyncio.sleep(chance.uniform(LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS))
            before = time.perf_counter()
            await publish(broker, RESULTS, result)
            delays.append((await _arrival(arrivals, result) - before) * 1_000)
    await broker.close()
    return delays


async def _arrival(arrivals: Arrivals, result: Result) -> float:
    """Wait for the webhook of a job; return when it arrived."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            correlation_id, at = await arrivals.get()
            if correlation_id == result.correlation_id:
                return at
