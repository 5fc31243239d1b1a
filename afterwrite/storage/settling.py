"""Computes the outcome of writes and their ledger rows in memory, before any SQL runs."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from afterwrite.base.store_errors import StoreError
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.write import Write, WriteError, WriteErrorCode, WriteStatus

Owners: TypeAlias = dict[tuple[str, str], dict[Any, int | None]]
"""By unique column (resource, column) and value: the id of the record that holds it, None if no record does."""


class StoreAway(StoreError):
    """Records cannot be written now: nothing was applied, retry the batch."""


@dataclass(slots=True)
class Outcome:
    """What a batch of writes comes to.

    ``unknown`` are values of unique columns whose owners must be known first; then settle again, with these owners.
    """

    settled: list[Write]
    stored: dict[str, list[Record]] = field(default_factory=dict)
    deleted: dict[str, list[int]] = field(default_factory=dict)
    unknown: dict[tuple[str, str], set[Any]] = field(default_factory=dict)


def ids_of(writes: Sequence[Write]) -> dict[str, set[int]]:
    """The ids of the records that the writes concern, by resource."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for write in writes:
        found[write.resource].add(write.record_id)
    return found


def settle_all(
    writes: Sequence[Write],
    resources: Mapping[str, CompiledResource],
    before: Mapping[str, Mapping[int, Record]],
    owners: Owners,
    now_us: Callable[[], int],
) -> Outcome:
    """The outcome of the writes in their order; ``before`` has the existing records by resource and id."""
    batch = _Batch(resources, before, owners)
    outcome = Outcome([batch.settle(write, now_us()) for write in writes], unknown=batch.unknown)
    for name, after in batch.after.items():
        had = before.get(name, {})
        changed = {key: record for key, record in after.items() if had.get(key) is not record}
        outcome.stored[name] = [record for record in changed.values() if record is not None]
        outcome.deleted[name] = [key for key, record in changed.items() if record is None]
    return outcome


def refused(write: Write, error: Exception, now_us: int) -> Write:
    """The write as FAILED, because the database refused it."""
    return _failed(write, WriteErrorCode.CONSTRAINT_VIOLATED, f"The database refused it: {error}", now_us)


class _Batch:
    """The records during a batch."""

    def __init__(
        self, resources: Mapping[str, CompiledResource], before: Mapping[str, Mapping[int, Record]], owners: Owners
    ) -> None:
        self.after: dict[str, dict[int, Record | None]] = {name: dict(records) for name, records in before.items()}
        self.unknown: dict[tuple[str, str], set[Any]] = {}
        self._resources = resources
        self._owners: Owners = {place: dict(known) for place, known in owners.items()}

    def settle(self, write: Write, now_us: int) -> Write:
        """The settled write; changes its record unless it FAILED."""
        resource = self._resources.get(write.resource)
        if resource is None:
            message = (
                f"Write {write.id} is of the resource {write.resource}, which this application does not declare: "
                "declare it, and queue the write again with retryWrite"
            )
            return _failed(write, WriteErrorCode.UNREADABLE, message, now_us)
        records = self.after.setdefault(write.resource, {})
        before = records.get(write.record_id)
        try:
            after = resource.apply(write, before)
            if resource.unique:
                self._keep_unique(resource, before, after)
        except WriteError as error:
            return _failed(write, error.code, error.message, now_us)
        records[write.record_id] = after
        return write._replace(status=WriteStatus.APPLIED.value, settled_at_us=now_us)

    def _keep_unique(self, resource: CompiledResource, before: Record | None, after: Record | None) -> None:
        """Let the record's unique values change owners. Raises WriteError if another record has one of the new ones."""
        changes = []
        for column in resource.unique:
            known = self._owners.setdefault((resource.name, column), {})
            had, has = (None if record is None else getattr(record, column) for record in (before, after))
            if had == has:
                continue
            if has is not None:
                if has not in known:
                    self.unknown.setdefault((resource.name, column), set()).add(has)
                owner = known.get(has)
                if owner is not None and owner != after.id:  # type: ignore[union-attr]
                    name = resource.of_column[column].name
                    raise WriteError(
                        WriteErrorCode.NOT_UNIQUE,
                        f"{name} {has!r:.80} is taken by {resource.name} {owner}: give another {name}",
                    )
            changes.append((known, had, has))
        for known, had, has in changes:
            if had is not None:
                known[had] = None
            if has is not None:
                known[has] = after.id  # type: ignore[union-attr]


def _failed(write: Write, code: str, message: str, now_us: int) -> Write:
    return write._replace(
        status=WriteStatus.FAILED.value, error_code=str(code), error_message=message, settled_at_us=now_us
    )
