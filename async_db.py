"""Fire-and-forget writes of products from Python: change here how your own code writes.

The functions work in the process that owns the data (resolvers, routes and workers of the application) and, with
DATABASE_URL, in any process; elsewhere they raise WrongProcess. ``context`` is ``info.context`` in a resolver; the
default is the context of the Flask request or of the process. All raise Refused if nothing was accepted, and StoreError
if the database is unavailable.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from afterwrite.resources.write import Write
from afterwrite.service.context import Context
from afterwrite.service.current import current_context
from afterwrite.writes import requests


def fire_and_forget_create(
    fields: Mapping[str, Any], *, idempotency_key: str | None = None, context: Context | None = None
) -> Write:
    """Accept the creation of a product; return its receipt, which is on disk and has the product's id.

    The same key with the same fields returns the same receipt.
    """
    context = context or current_context()
    return requests.create(context.queue, fields, idempotency_key, context.by)


def fire_and_forget_create_many(
    products: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None, context: Context | None = None
) -> list[Write]:
    """Accept the creation of up to 1,000 products, all or none; return their receipts in the same order."""
    context = context or current_context()
    return requests.create_many(context.queue, products, idempotency_key, context.by)


def fire_and_forget_update(
    product_id: int | str,
    fields: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> Write:
    """Accept an update of the given fields; return its receipt, which is on disk."""
    context = context or current_context()
    return requests.update(context.queue, str(product_id), fields, idempotency_key, context.by)


def fire_and_forget_delete(
    product_id: int | str, *, idempotency_key: str | None = None, context: Context | None = None
) -> Write:
    """Accept the deletion of a product; return its receipt, which is on disk."""
    context = context or current_context()
    return requests.delete(context.queue, str(product_id), idempotency_key, context.by)


def create_sync(
    fields: Mapping[str, Any], *, idempotency_key: str | None = None, context: Context | None = None
) -> Write:
    """Create a product and wait until it is settled; the receipt is APPLIED, FAILED, or QUEUED on timeout."""
    context = context or current_context()
    return settled(fire_and_forget_create(fields, idempotency_key=idempotency_key, context=context), context=context)


def update_sync(
    product_id: int | str,
    fields: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> Write:
    """Update a product and wait until that is settled; see create_sync."""
    context = context or current_context()
    accepted = fire_and_forget_update(product_id, fields, idempotency_key=idempotency_key, context=context)
    return settled(accepted, context=context)


def delete_sync(product_id: int | str, *, idempotency_key: str | None = None, context: Context | None = None) -> Write:
    """Delete a product and wait until that is settled; see create_sync."""
    context = context or current_context()
    accepted = fire_and_forget_delete(product_id, idempotency_key=idempotency_key, context=context)
    return settled(accepted, context=context)


def settled(write: Write, *, context: Context | None = None) -> Write:
    """The write once it is APPLIED or FAILED, or as it was accepted after the request's timeout (10 s).

    Do not call it on the background loop, where it would wait for itself: a worker calls it in a thread.
    """
    context = context or current_context()
    return requests.settled(context.queue, write, context.wait_seconds) or write
