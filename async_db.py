"""Writes products from Python without waiting for the database: change here how your own code writes.

Each function works in the process that owns the data (resolvers, routes and workers of the application) and, with
DATABASE_URL, in any process. Elsewhere it raises WrongProcess. ``context`` is the context of the request at hand,
``info.context`` in a resolver; without it the one of the Flask request or of the process is used. All raise Refused for
what cannot be accepted, and then nothing was, and StoreError when the database is unavailable.
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
    """Accept the creation of a product and return its receipt, which is on disk; it is applied afterwards.

    The receipt has the id of the product. The same key with the same fields returns the same receipt.
    """
    context = context or current_context()
    return requests.create(context.queue, fields, idempotency_key, context.by)


def fire_and_forget_create_many(
    products: Sequence[Mapping[str, Any]],
    *,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> list[Write]:
    """Accept the creation of up to 1,000 products, all or none, and return their receipts in the same order."""
    context = context or current_context()
    return requests.create_many(context.queue, products, idempotency_key, context.by)


def fire_and_forget_update(
    product_id: int | str,
    fields: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> Write:
    """Accept a change of the fields that are given and return its receipt, which is on disk."""
    context = context or current_context()
    return requests.update(context.queue, str(product_id), fields, idempotency_key, context.by)


def fire_and_forget_delete(
    product_id: int | str, *, idempotency_key: str | None = None, context: Context | None = None
) -> Write:
    """Accept the deletion of a product and return its receipt, which is on disk."""
    context = context or current_context()
    return requests.delete(context.queue, str(product_id), idempotency_key, context.by)


def create_sync(
    fields: Mapping[str, Any], *, idempotency_key: str | None = None, context: Context | None = None
) -> Write:
    """Create a product and wait until that is settled; the receipt is APPLIED, FAILED, or QUEUED when time ran out."""
    context = context or current_context()
    return settled(
        fire_and_forget_create(fields, idempotency_key=idempotency_key, context=context), context=context
    )


def update_sync(
    product_id: int | str,
    fields: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> Write:
    """Change a product and wait until that is settled; see create_sync."""
    context = context or current_context()
    accepted = fire_and_forget_update(product_id, fields, idempotency_key=idempotency_key, context=context)
    return settled(accepted, context=context)


def delete_sync(
    product_id: int | str, *, idempotency_key: str | None = None, context: Context | None = None
) -> Write:
    """Delete a product and wait until that is settled; see create_sync."""
    context = context or current_context()
    accepted = fire_and_forget_delete(product_id, idempotency_key=idempotency_key, context=context)
    return settled(accepted, context=context)


def settled(write: Write, *, context: Context | None = None) -> Write:
    """The write once it is APPLIED or FAILED, or as it was accepted when the time of the request (10 s) ran out.

    Not for code on the background loop, where it would wait for itself: a worker awaits it in a thread.
    """
    context = context or current_context()
    return requests.settled(context.queue, write, context.wait_seconds) or write
