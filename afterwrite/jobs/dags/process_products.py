"""The Airflow 3 DAG of the product pipeline: validate, transform in parts, store, publish the outcome.

Airflow needs Afterwrite's modules on its PYTHONPATH and the packages of ``requirements-airflow.txt``. Its tasks need
DATABASE_URL, AMQP_URL and, with Afterwrite's values, QUEUE_PREFIX and TASK_PAYLOAD_MAX_BYTES in their environment.
Tasks exchange data through the database, and each one is idempotent.
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

# No job waits for a task that ended: it was cancelled, or its outcome is known.
_WAITED_FOR = ("PENDING", "PROCESSING")


class _Job(NamedTuple):
    """The job of a run, from its request."""

    correlation_id: str
    task_id: int
    run_id: str
    traceparent: str


# Tasks retry while the database is unavailable, for about half an hour in all.
_PATIENT = {
    "retries": 20,
    "retry_delay": timedelta(seconds=2),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=2),
}


@dag(
    dag_id="process_products",
    description="Validates, enriches and summarises a list of products for Afterwrite",
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=64,
    tags=["afterwrite"],
    default_args=_PATIENT,
)
def process_products() -> None:
    """Run the products of one job through the pipeline."""
    stored = store_products()
    describe_part.expand(first_index=check_products()) >> stored
    # A teardown runs whether the others succeed or fail, and does not change the state of the run.
    stored >> publish_outcome().as_teardown()


@task(task_id="validate")
def check_products() -> list[int]:
    """Validate the products; return the start index of each part."""
    with _runs() as (job, settings, runs):
        payload, status = runs.payload(job.run_id)
        items = payload["products"]
        begins = parts(len(items))
        found = runs.outcomes([job.run_id]).get(job.run_id)
        if found is not None and found.report_json is not None:  # cleared by hand in Airflow: the report stays
            return list(begins)
        if found is not None:
            raise AirflowFailException(f"This run has failed ({found.error_message}): retry its task instead")
        if status not in _WAITED_FOR:
            runs.fail(job.run_id, TASK_ENDED, f"The task had ended as {status} before the run began")
            raise AirflowFailException(f"No job waits for this run: its task is {status}")
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
    get_current_context()["first_index"] = first_index
    with _runs() as (job, _, runs):
        if runs.has_ended(job.run_id):  # its parts are deleted: cleared by hand in Airflow
            return
        decimal = runs.verdict(job.run_id).get("decimal")  # absent in runs of earlier versions
        products = validate(runs.part(job.run_id, first_index), first_index, decimal).products
        descriptions = [described(index, product) for index, product in products.items()]
        runs.describe_part(job.run_id, first_index, descriptions)
        _log.info("described %s from %d on", counted(len(descriptions), "product"), first_index)


@task(task_id="store")
def store_products() -> None:
    """Combine the parts, and store the products and the report in the database."""
    with _runs() as (job, settings, runs):
        if runs.has_ended(job.run_id):  # by an attempt that missed the confirmation
            return
        enriched = together(runs.descriptions(job.run_id))
        report = with_products(runs.verdict(job.run_id), enriched, settings.task_payload_max_bytes)
        report |= {"completedAt": datetime.now(UTC).isoformat()}
        runs.end(job.run_id, report, enriched.products)
        _log.info("stored %s", counted(len(enriched.products), "product"))


# Retries while RabbitMQ is unavailable, for about a day.
@task(task_id="publish", retries=150, max_retry_delay=timedelta(minutes=10))
def publish_outcome() -> None:
    """Publish the outcome, success or failure."""
    with _runs() as (job, settings, runs):
        # Only sets an outcome if the run has none.
        runs.fail(job.run_id, "RUN_FAILED", f"The run {job.run_id} failed: see its log in Airflow")
        found = runs.outcomes([job.run_id]).get(job.run_id)
        outcome = COMPLETED if found is not None and found.report_json is not None else FAILED
        asyncio.run(_publish(settings, job, outcome))
        _log.info("the outcome is published: %s", outcome)


@contextmanager
def _runs() -> Iterator[tuple[_Job, Settings, JobRuns]]:
    """The job of the current task's run, the settings, and the runs in the database."""
    dag_run = get_current_context()["dag_run"]
    conf: dict[str, Any] = dag_run.conf or {}
    if not {"correlation_id", "task_id"} <= set(conf):
        raise AirflowFailException(
            "This DAG needs a job in its conf, which Afterwrite passes when it starts a run: post the job to "
            "/api/process"
        )
    trace = next_hop(read_trace(conf.get(HEADER)) or new_trace())
    job = _Job(conf["correlation_id"], int(conf["task_id"]), dag_run.run_id, trace)
    # Adds these names to every line of Airflow's own log.
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
