"""The built-in workers, one line each, with those of the application and of WORKER_MODULES."""

import importlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

from afterwrite.base.json_schema import check_schema
from afterwrite.base.settings import VERSION, Settings, SettingsError
from afterwrite.tasks.registry import Registry
from afterwrite.tasks.worker import BaseWorker
from afterwrite.tasks.workers.entry import EntryWorker
from afterwrite.tasks.workers.process_products import ProcessProductsWorker
from afterwrite.tasks.workers.stripe_payments import StripeWorker
from afterwrite.tasks.workers.webhook_delivery import WebhookDeliveryWorker

OwnWorker: TypeAlias = "type[BaseWorker] | Callable[[Settings], BaseWorker]"
"""What an application registers: a class that takes no arguments, or a function that makes a worker of the settings."""


def build_workers(settings: Settings, webhook_secret: str, own: Sequence[OwnWorker] = ()) -> Sequence[BaseWorker]:
    """The built-in workers, those of the application and those of WORKER_MODULES.

    Raises SettingsError, also for a type that has two workers or a schema that is none.
    """
    built_in = [
        _stripe_worker(settings),
        EntryWorker(settings.stage_seconds),
        _process_worker(settings),
        WebhookDeliveryWorker(webhook_secret, settings.webhook_allow_private == "on", VERSION),
    ]
    others = [*(_own_worker(one, settings) for one in own), *_workers_of_modules(settings)]
    try:
        Registry([*built_in, *others], settings.task_payload_max_bytes)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    _check_schemas(others)  # tests check those of the built-in ones
    return [*built_in, *others]


def _check_schemas(workers: Sequence[BaseWorker]) -> None:
    for worker in workers:
        for task_type, schema in worker.types.items():
            try:
                check_schema(schema)
            except ValueError as error:
                raise SettingsError(
                    f"{type(worker).__name__} has an invalid JSON Schema for {task_type!r}: {error}"
                ) from error


def _own_worker(one: OwnWorker, settings: Settings) -> BaseWorker:
    if not callable(one):
        raise SettingsError(
            f"workers has {one!r}: give a class derived from BaseWorker, or a function that makes one of the settings"
        )
    try:
        made = one() if isinstance(one, type) else one(settings)
    except TypeError as error:
        raise SettingsError(f"workers has {one!r}, which makes no worker: {error}") from error
    if not (isinstance(made, BaseWorker) and made.types):
        raise SettingsError(f"workers has {one!r}: give a class derived from BaseWorker that has types")
    return made


def _stripe_worker(settings: Settings) -> StripeWorker:
    try:
        return StripeWorker(settings.stripe_secret_key, settings.stripe_api_base)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _process_worker(settings: Settings) -> BaseWorker:
    if settings.process_engine == "builtin":
        return ProcessProductsWorker(settings.task_payload_max_bytes)
    # Imported here, because the built-in engine works without these clients installed.
    from afterwrite.jobs.airflow import Airflow
    from afterwrite.jobs.broker import Broker
    from afterwrite.jobs.callbacks import Callbacks
    from afterwrite.storage.postgres.address import address_of
    from afterwrite.storage.postgres.job_runs import JobRuns
    from afterwrite.tasks.workers.process_on_airflow import ProcessOnAirflowWorker

    return ProcessOnAirflowWorker(
        Broker(settings),
        Callbacks(settings),
        Airflow(settings),
        JobRuns(address_of(settings)),
        settings.task_payload_max_bytes,
    )


def _workers_of_modules(settings: Settings) -> list[BaseWorker]:
    workers: list[BaseWorker] = []
    for name in filter(None, map(str.strip, settings.worker_modules.split(","))):
        try:
            workers += importlib.import_module(name).build_workers(settings)
        except (ImportError, AttributeError) as error:
            raise SettingsError(
                f"WORKER_MODULES names {name!r}, which cannot be used: {error}. Give modules that Python finds "
                "(see PYTHONPATH) and that have a function build_workers(settings)"
            ) from error
    return workers
