"""Fire-and-forget writes from Python, of any resource, and reads: change here how your own code writes.

The functions work in the process that owns the data (resolvers, routes and workers of the application) and, with
DATABASE_URL, in any process; elsewhere they raise WrongProcess. ``resource`` is the declared class. ``context`` is
``info.context`` in a resolver; the default is the context of the Flask request or of the process. With ``if_version``
a write is applied only to that version of the record. All that write raise Refused if nothing was accepted; all raise
StoreError if the database is unavailable.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from afterwrite import Resource
from afterwrite.resources.registry import compiled
from afterwrite.resources.write import Write
from afterwrite.service import reading
from afterwrite.service.context import Context
from afterwrite.service.current import current_context
from afterwrite.writes import requests


def fire_and_forget_create(
    resource: type[Resource],
    fields: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> Write:
    """Accept the creation of a record; return its receipt, which is on disk and has the record's id.

    The same key with the same fields returns the same receipt.
    """
    context = context or current_context()
    return requests.create(context.queue, compiled(resource), fields, idempotency_key, context.by)


def fire_and_forget_create_many(
    resource: type[Resource],
    records: Sequence[Mapping[str, Any]],
    *,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> list[Write]:
    """Accept the creation of up to 1,000 records, all or none; return their receipts in the same order."""
    context = context or current_context()
    return requests.create_many(context.queue, compiled(resource), records, idempotency_key, context.by).writes


def fire_and_forget_upsert(
    resource: type[Resource],
    fields: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> Write:
    """Accept the update of the record with this value of the unique field, or its creation; return its receipt.

    The receipt names the record once it is settled. Raises ValueError if the resource has no required unique field.
    """
    context, kind = context or current_context(), compiled(resource)
    if kind.upsert_key is None:
        raise ValueError(f"{kind.name} has no field that is unique and required: an upsert needs one")
    return requests.upsert(context.queue, kind, fields, idempotency_key, context.by)


def fire_and_forget_update(
    resource: type[Resource],
    record_id: int | str,
    fields: Mapping[str, Any],
    *,
    if_version: int | None = None,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> Write:
    """Accept an update of the given fields; return its receipt, which is on disk."""
    context, kind, number = context or current_context(), compiled(resource), str(record_id)
    return requests.update(context.queue, kind, number, fields, idempotency_key, context.by, if_version)


def fire_and_forget_update_many(
    resource: type[Resource],
    changes: Sequence[Mapping[str, Any]],
    *,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> list[Write]:
    """Accept up to 1,000 updates, all or none; each has the record's id, such as ``stock_id``, and what changes."""
    context = context or current_context()
    return requests.update_many(context.queue, compiled(resource), changes, idempotency_key, context.by).writes


def fire_and_forget_delete_many(
    resource: type[Resource],
    record_ids: Sequence[int | str],
    *,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> list[Write]:
    """Accept up to 1,000 deletions, all or none; return their receipts in the same order."""
    context, ids = context or current_context(), list(map(str, record_ids))
    return requests.delete_many(context.queue, compiled(resource), ids, idempotency_key, context.by).writes


def fire_and_forget_delete(
    resource: type[Resource],
    record_id: int | str,
    *,
    if_version: int | None = None,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> Write:
    """Accept the deletion of a record; return its receipt, which is on disk."""
    context = context or current_context()
    return requests.delete(context.queue, compiled(resource), str(record_id), idempotency_key, context.by, if_version)


def fire_and_forget(
    resource: type[Resource],
    operation: str,
    record_id: int | str,
    arguments: Mapping[str, Any],
    *,
    if_version: int | None = None,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> Write:
    """Accept an operation of the resource, by its name as declared; return its receipt, which is on disk.

    Raises ValueError if the resource has no such operation.
    """
    context, kind, number = context or current_context(), compiled(resource), str(record_id)
    called = kind.operations.get(operation.upper())
    if called is None:
        known = ", ".join(name.lower() for name in kind.operations) or "none"
        raise ValueError(f"{kind.name} has no operation {operation!r}: its operations are {known}")
    return requests.operate(context.queue, kind, called, number, arguments, idempotency_key, context.by, if_version)


def create_sync(
    resource: type[Resource],
    fields: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> Write:
    """Create a record and wait until it is settled; the receipt is APPLIED, FAILED, or QUEUED on timeout."""
    context = context or current_context()
    accepted = fire_and_forget_create(resource, fields, idempotency_key=idempotency_key, context=context)
    return settled(accepted, context=context)


def update_sync(
    resource: type[Resource],
    record_id: int | str,
    fields: Mapping[str, Any],
    *,
    if_version: int | None = None,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> Write:
    """Update a record and wait until that is settled; see create_sync."""
    context = context or current_context()
    accepted = fire_and_forget_update(
        resource, record_id, fields, if_version=if_version, idempotency_key=idempotency_key, context=context
    )
    return settled(accepted, context=context)


def delete_sync(
    resource: type[Resource],
    record_id: int | str,
    *,
    if_version: int | None = None,
    idempotency_key: str | None = None,
    context: Context | None = None,
) -> Write:
    """Delete a record and wait until that is settled; see create_sync."""
    context = context or current_context()
    accepted = fire_and_forget_delete(
        resource, record_id, if_version=if_version, idempotency_key=idempotency_key, context=context
    )
    return settled(accepted, context=context)


def settled(write: Write, *, context: Context | None = None) -> Write:
    """The write once it is APPLIED or FAILED, or as it was accepted after the request's timeout (10 s).

    Do not call it on the background loop, where it would wait for itself: a worker calls it in a thread.
    """
    context = context or current_context()
    return requests.settled(context.queue, write, context.wait_seconds) or write


def get(resource: type[Resource], record_id: int | str, *, context: Context | None = None) -> Any:
    """The record as it is now, None if it does not exist; writes that wait are not in it.

    Works in servers and in processes of workers, which know the application; raises WrongProcess elsewhere.
    """
    return reading.get(context or current_context(), compiled(resource), record_id)


def find(
    resource: type[Resource],
    *,
    search: str = "",
    order_by: str = "ID_ASC",
    first: int = 50,
    context: Context | None = None,
    **filters: Any,
) -> Sequence[Any]:
    """The first records that match, max 500: ``find(Stock, max_on_hand=5, order_by="ON_HAND_ASC")``; see get.

    ``search``, ``order_by`` and the filters are those of the resource's connection in GraphQL, in snake case. Raises
    ValueError for an order or a filter that the resource does not have.
    """
    return reading.find(context or current_context(), compiled(resource), search, order_by, first, filters)
