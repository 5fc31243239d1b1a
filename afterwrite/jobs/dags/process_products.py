"""The DAG of Airflow 3 that runs the product pipeline: validate, transform in parts, store, and tell the outcome.

Airflow needs Afterwrite's modules on its PYTHONPATH, the packages of ``requirements-airflow.txt``, and in the
environment of its tasks DATABASE_URL, AMQP_URL and, as Afterwrite has them, QUEUE_PREFIX and TASK_PAYLOAD_MAX_BYTES.
What the tasks hand on is in the database; each may be done again, and leaves the same there.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from airflow.exceptions import AirflowFailException
from airflow.sdk import dag, get_current_context, task
from structlog.contextvars import bind_contextvars

from afterwrite.base.counts import counted
from afterwrite.base.settings import Settings, from_environment
from afterwrite.base.tracing import HEADER, new_trace, next_hop, read_trace
from afterwrite.jobs.broker import RESULTS, Broker
from afterwrite.jobs.messages import COMPLETED, FAILED, Result, headers_of
from afterwrite.jobs.pipeline import (
    all_refused,
    decimal_of,
    described,
    parts,
    together,
    validate,
    verdict,
    with_products,
)
from afterwrite.storage.postgres.address import address_of
from afterwrite.storage.postgres.job_runs import TASK_ENDED, JobRuns, NoSuchRun

_log = logging.getLogger("afterwrite.dag")

# A task that ended is of no use to anybody: it was cancelled, or its outcome is known already.
_WAITED_FOR = ("PENDING", "PROCESSING")


class _Job(NamedTuple):
    """What a run is for, as its request says."""

    correlation_id: str
    task_id: int
    run_id: str
    traceparent: str


# While the database is away tasks wait; about half an hour in all.
_PATIENT = {
    "retries": 20,
    "retry_delay": timedelta(seconds=2),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=2),
}


@dag(
    dag_id="process_products",
    description="Checks, enriches and sums up a list of products for Afterwrite",
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=64,
    tags=["afterwrite"],
    default_args=_PATIENT,
)
def process_products() -> None:
    """Bring the products of one job through the pipeline."""
    stored = store_products()
    describe_part.expand(first_index=check_products()) >> stored
    # A teardown: it runs whatever became of the others, and the state of the run is theirs.
    stored >> publish_outcome().as_teardown()


@task(task_id="validate")
def check_products() -> list[int]:
    """Refuse what is no product; returns where each part begins."""
    with _runs() as (job, settings, runs):
        payload, status = runs.payload(job.run_id)
        items = payload["products"]
        begins = parts(len(items))
        found = runs.outcomes([job.run_id]).get(job.run_id)
        if (
            found is not None and found.report_json is not None
        ):  # this is done again by hand: the report stays
            return list(begins)
        if found is not None:
            raise AirflowFailException(
                f"This run has failed ({found.error_message}): try its task again instead"
            )
        if status not in _WAITED_FOR:
            runs.fail(job.run_id, TASK_ENDED, f"The task had ended as {status} before the run began")
            raise AirflowFailException(f"Nobody waits for this run: its task is {status}")
        checked = validate(items, decimal=decimal_of(items, payload.get("decimal")))
        if not checked.products:
            message = all_refused(checked.refusals)
            runs.fail(job.run_id, "NO_VALID_PRODUCT", message)
            raise AirflowFailException(message)
        pieces = {first: items[first : first + begins.step] for first in begins}
        runs.begin(job.run_id, verdict(checked, settings.task_payload_max_bytes), pieces)
        return list(begins)


@task(task_id="transform", map_index_template="{{ first_index }}")
def describe_part(first_index: int) -> None:
    """Describe the products of one part."""
    get_current_context()["first_index"] = first_index
    with _runs() as (job, _, runs):
        if runs.has_ended(job.run_id):  # its parts are gone: this is done again by hand
            return
        decimal = runs.verdict(job.run_id).get("decimal")  # no run of an earlier version has it
        products = validate(runs.part(job.run_id, first_index), first_index, decimal).products
        descriptions = [described(index, product) for index, product in products.items()]
        runs.describe_part(job.run_id, first_index, descriptions)
        _log.info("described %s from %d on", counted(len(descriptions), "product"), first_index)


@task(task_id="store")
def store_products() -> None:
    """Bring the parts together, and keep the products and the report in the database."""
    with _runs() as (job, settings, runs):
        if runs.has_ended(job.run_id):  # by an attempt that did not hear of it
            return
        enriched = together(runs.descriptions(job.run_id))
        report = with_products(runs.verdict(job.run_id), enriched, settings.task_payload_max_bytes)
        report |= {"completedAt": datetime.now(UTC).isoformat()}
        runs.end(job.run_id, report, enriched.products)
        _log.info("stored %s", counted(len(enriched.products), "product"))


# Publishes for as long as RabbitMQ is away: about a day.
@task(task_id="publish", retries=150, max_retry_delay=timedelta(minutes=10))
def publish_outcome() -> None:
    """Tell the outcome, whatever it is."""
    with _runs() as (job, settings, runs):
        # Of a run that has no outcome; another one keeps it.
        runs.fail(job.run_id, "RUN_FAILED", f"The run {job.run_id} failed in Airflow, which has the log")
        found = runs.outcomes([job.run_id]).get(job.run_id)
        outcome = COMPLETED if found is not None and found.report_json is not None else FAILED
        asyncio.run(_publish(settings, job, outcome))
        _log.info("the outcome is published: %s", outcome)


@contextmanager
def _runs() -> Iterator[tuple[_Job, Settings, JobRuns]]:
    """The job of the run that the current task belongs to, the settings, and the runs in the database."""
    dag_run = get_current_context()["dag_run"]
    conf: dict[str, Any] = dag_run.conf or {}
    if not {"correlation_id", "task_id"} <= set(conf):
        raise AirflowFailException(
            "Runs of this DAG are begun by Afterwrite, which says in conf what they are for: post the job to "
            "/api/process"
        )
    trace = next_hop(read_trace(conf.get(HEADER)) or new_trace())
    job = _Job(conf["correlation_id"], int(conf["task_id"]), dag_run.run_id, trace)
    # Airflow's own log says them with every line.
    bind_contextvars(correlation_id=job.correlation_id, trace_id=trace.split("-")[1])
    settings = from_environment()
    runs = JobRuns(address_of(settings))
    try:
        yield job, settings, runs
    except NoSuchRun as error:
        raise AirflowFailException(str(error)) from error
    finally:
        runs.close()


async def _publish(settings: Settings, job: _Job, outcome: str) -> None:
    broker = Broker(settings)
    try:
        result = Result(job.correlation_id, job.task_id, job.run_id, outcome)
        await broker.publish(RESULTS, result.encode(), headers_of(job.correlation_id, job.traceparent))
    finally:
        await broker.close()


process_products()
