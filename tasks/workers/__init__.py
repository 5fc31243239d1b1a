"""Names the workers that ship: one line for each."""

import importlib
from collections.abc import Sequence

from settings import VERSION, Settings, SettingsError
from tasks.worker import BaseWorker
from tasks.workers.entry import EntryWorker
from tasks.workers.process_products import ProcessProductsWorker
from tasks.workers.stripe_payments import StripeWorker
from tasks.workers.webhook_delivery import WebhookDeliveryWorker


def build_workers(settings: Settings, webhook_secret: str) -> Sequence[BaseWorker]:
    """The workers of the server: those that ship, and those of WORKER_MODULES. Raises SettingsError."""
    return [
        _stripe_worker(settings),
        EntryWorker(settings.stage_seconds),
        ProcessProductsWorker(settings.task_payload_max_bytes),
        WebhookDeliveryWorker(webhook_secret, settings.webhook_allow_private == "on", VERSION),
        *_workers_of_modules(settings),
    ]


def _stripe_worker(settings: Settings) -> StripeWorker:
    try:
        return StripeWorker(settings.stripe_secret_key, settings.stripe_api_base)
    except ValueError as error:
        raise SettingsError(str(error)) from error


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
