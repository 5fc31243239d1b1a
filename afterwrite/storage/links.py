"""What a write must keep between records: unique values and references. Raises WriteError where it does not."""

from typing import Any

from afterwrite.base.counts import counted
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.write import Write, WriteError, WriteErrorCode
from afterwrite.storage.batch import FOLLOWING_MAX, Batch, Changes


def upserted(batch: Batch, resource: CompiledResource, write: Write) -> int:
    """The id of the record with the unique value of an upsert, else the one that was given to the upsert."""
    column, value = resource.upserted_by(write)
    owner = batch.owner((resource.name, column), value)
    if owner is None and batch.record(resource.name, write.record_id) is not None:
        raise WriteError(resource.exists, f"{resource.name} {write.record_id} exists already")
    return write.record_id if owner is None else owner


def too_many(name: str, record_id: int) -> WriteError:
    """The error of a deletion that would delete or change too many other records."""
    message = (
        f"More than {counted(FOLLOWING_MAX, 'record')} refer to {name} {record_id}, directly or not: delete some first"
    )
    return WriteError(WriteErrorCode.REFERENCED, f"{message}; nothing was changed")


def require_targets(
    batch: Batch, resource: CompiledResource, before: Record | None, after: Record | None, changes: Changes
) -> None:
    """Raise WriteError if a reference was set to a record that does not exist."""
    for one in resource.references:
        target = None if after is None else getattr(after, one.column)
        if target is None or (before is not None and getattr(before, one.column) == target):
            continue
        if (one.target, target) not in changes and batch.record(one.target, target) is None:
            message = f"{one.name} is {target}, and there is no {one.target} {target}: give one that exists"
            raise WriteError(WriteErrorCode.REFERENCE_NOT_FOUND, f"{message}; nothing was changed")


def unique_changes(
    batch: Batch, resource: CompiledResource, record_id: int, after: Record | None
) -> list[tuple[tuple[str, str], Any, int | None]]:
    """The unique values that change their owner. Raises WriteError if another record has one of them."""
    before = batch.record(resource.name, record_id)
    changes: list[tuple[tuple[str, str], Any, int | None]] = []
    for column in resource.unique:
        place = resource.name, column
        had, has = (None if record is None else getattr(record, column) for record in (before, after))
        if had == has:
            continue
        if had is not None:
            changes.append((place, had, None))
        if has is not None:
            owner = batch.owner(place, has)
            if owner not in (None, record_id):
                name = resource.of_column[column].name
                message = f"{name} {has!r:.80} is taken by {resource.name} {owner}: give another {name}"
                raise WriteError(WriteErrorCode.NOT_UNIQUE, message)
            changes.append((place, has, record_id))
    return changes
