"""The built-in workers, one line each, and the loader of WORKER_MODULES."""

import importlib
from collections.abc import Sequence

from afterwrite.base.settings import VERSION, Settings, SettingsError
from afterwrite.tasks.worker import BaseWorker
from afterwrite.tasks.workers.entry import EntryWorker
from afterwrite.tasks.workers.process_products import ProcessProductsWorker
from afterwrite.tasks.workers.stripe_payments import StripeWorker
from afterwrite.tasks.workers.webhook_delivery import WebhookDeliveryWorker


def build_workers(settings: Settings, webhook_secret: str) -> Sequence[BaseWorker]:
    """The built-in workers and those of WORKER_MODULES. Raises SettingsError."""
    return [
        _stripe_worker(settings),
        EntryWorker(settings.stage_seconds),
        _process_worker(settings),
        WebhookDeliveryWorker(webhook_secret, settings.webhook_allow_private == "on", VERSION),
        *_workers_of_modules(settings),
    ]


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
