"""Computes the outcome of writes and their ledger rows in memory, before any SQL changes a record."""

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from afterwrite.base.refusals import Problem, Refused
from afterwrite.base.store_errors import StoreError
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.reference_field import Reference
from afterwrite.resources.resource import FollowUp
from afterwrite.resources.write import Operation, OperationError, Write, WriteError, WriteErrorCode, WriteStatus
from afterwrite.storage.batch import FOLLOWING_MAX, Batch, Changes, Effect, Known, Unknown
from afterwrite.storage.links import require_targets, too_many, unique_changes, upserted
from afterwrite.storage.outbox import MadeTasks

_log = logging.getLogger("afterwrite.queue")
_CHANGES_IN_BATCH = 5_000  # ends the batch: deletions change other records too, and a transaction stays small


class StoreAway(StoreError):
    """Records cannot be written now: nothing was applied, retry the batch."""


@dataclass(slots=True)
class Outcome:
    """What a batch of writes comes to, or the first of them."""

    settled: list[Write]
    stored: dict[str, list[Record]] = field(default_factory=dict)
    deleted: dict[str, list[int]] = field(default_factory=dict)
    made: list[MadeTasks] = field(default_factory=list)


class RecordReads(Protocol):
    """Reads of one resource in the transaction ``db``."""

    async def load(self, db: Any, ids: Collection[int]) -> dict[int, Record]:
        """The existing records among these ids."""

    async def owners(self, db: Any, column: str, values: Collection[Any]) -> dict[Any, int | None]:
        """The id of the record that holds each value of a unique column, None where no record does."""

    async def referring(self, db: Any, column: str, record_id: int, limit: int) -> dict[int, Record]:
        """At most ``limit`` records whose reference in ``column`` is ``record_id``, by id."""


Prepare: TypeAlias = Callable[[FollowUp, Write], Mapping[str, Any]]
"""Gives a task that a write makes as the task queue stores it. Raises Refused if it cannot be."""


def _prepare_none(follow_up: FollowUp, _write: Write) -> Mapping[str, Any]:
    raise Refused([Problem(None, f"this process makes no tasks, such as {follow_up.type!r}", "")])


class Settling:
    """Settles batches of writes of the resources of an application; ``prepare`` is for the tasks that they make."""

    def __init__(self, resources: Mapping[str, CompiledResource], tables: Mapping[str, RecordReads]) -> None:
        self._resources, self._tables = resources, tables
        self.prepare: Prepare = _prepare_none
        referring: defaultdict[str, list[tuple[CompiledResource, Reference]]] = defaultdict(list)
        for resource in resources.values():
            for one in resource.references:
                referring[one.target].append((resource, one))
        self._referring = dict(referring)
        self._plain = {
            name: one for name, one in resources.items() if not (one.unique or one.references or name in referring)
        }

    async def outcome(self, db: Any, writes: Sequence[Write], now_us: Callable[[], int]) -> Outcome:
        """The outcome of the writes in their order, on the records in the transaction ``db``; changes nothing.

        It may be that of the first of them only, which bounds what one transaction changes.
        """
        known, unknown = Known(), Unknown()
        for write in writes:
            unknown.records[write.resource].add(write.record_id)
        await self._read(db, unknown, known)
        batch = Batch(known)
        plain = self._plain
        settled = [
            _take(batch, *self._settle(batch, write, now_us()))
            if (resource := plain.get(write.resource)) is None
            else self._settle_plain(batch, resource, write, now_us())
            for write in writes
        ]
        if batch.unknown:  # most batches need nothing else
            await self._read(db, batch.unknown, known)
            batch, settled = Batch(known), []
            for write in writes:
                settled.append(_take(batch, *await self._settle_knowing(db, batch, known, write, now_us)))
                if batch.changed > _CHANGES_IN_BATCH:
                    break
        return _outcome_of(settled, batch, known)

    async def _settle_knowing(
        self, db: Any, batch: Batch, known: Known, write: Write, now_us: Callable[[], int]
    ) -> tuple[Write, Effect]:
        """The same as ``_settle``, repeated for this write until all that it has to know was read."""
        while True:
            settled, effect = self._settle(batch, write, now_us())
            if not batch.unknown:
                return settled, effect
            await self._read(db, batch.unknown, known)
            batch.learn(known)

    async def _read(self, db: Any, unknown: Unknown, known: Known) -> None:
        for name, ids in unknown.records.items():
            if name in self._tables:
                records = known.records.setdefault(name, {})
                records |= dict.fromkeys(ids) | await self._tables[name].load(db, ids)
        for (name, column), values in unknown.owners.items():
            found = await self._tables[name].owners(db, column, values)
            known.owners.setdefault((name, column), {}).update(found)
        for (name, column), limits in unknown.referring.items():
            for record_id, limit in limits.items():
                rows = await self._tables[name].referring(db, column, record_id, limit)
                known.records.setdefault(name, {}).update(rows)
                known.limits[(name, column), record_id] = limit if len(rows) == limit else 0

    def _settle(self, batch: Batch, write: Write, now_us: int) -> tuple[Write, Effect]:
        """The settled write and its effect, which is none if it FAILED."""
        resource = self._resources.get(write.resource)
        if resource is None:
            message = (
                f"Write {write.id} is of the resource {write.resource}, which this application does not declare: "
                "declare it, and queue the write again with retryWrite"
            )
            return _failed(write, WriteErrorCode.UNREADABLE, message, now_us), _NONE
        try:
            if write.operation == Operation.UPSERT:
                write = write._replace(record_id=upserted(batch, resource, write))
            effect = self._effect(batch, resource, write)
        except Exception as error:  # noqa: BLE001 - a bug must not hold up the writes behind it
            return _failure(batch, write, error, now_us), _NONE
        return _applied(write, now_us), effect

    def _settle_plain(self, batch: Batch, resource: CompiledResource, write: Write, now_us: int) -> Write:
        """The same in half the time, for a resource with neither unique values nor references; it takes effect."""
        records, made = batch.after[resource.name], list[FollowUp]()
        try:
            after = resource.apply(write, records[write.record_id], made)
            tasks = [self._prepared(one, write) for one in made] if made else None
        except Exception as error:  # noqa: BLE001 - as above
            return _failure(batch, write, error, now_us)
        records[write.record_id] = after
        if tasks:
            batch.made.append(MadeTasks(write.id, tasks))
        return _applied(write, now_us)

    def _effect(self, batch: Batch, resource: CompiledResource, write: Write) -> Effect:
        """What the write does. Raises WriteError."""
        before, made = batch.record(resource.name, write.record_id), list[FollowUp]()
        after = resource.apply(write, before, made)
        changes: Changes = {(resource.name, write.record_id): after}
        tasks = [self._prepared(one, write) for one in made] if made else ()
        if after is None:
            if resource.name not in self._referring and not resource.unique:
                return Effect(changes)
            self._follow(batch, write, changes)
        elif resource.references:
            require_targets(batch, resource, before, after, changes)
        elif not resource.unique:
            return Effect(changes, (), tasks)
        owned = [
            one
            for (name, record_id), changed in changes.items()
            if self._resources[name].unique
            for one in unique_changes(batch, self._resources[name], record_id, changed)
        ]
        return Effect(changes, owned, tasks)

    def _prepared(self, follow_up: FollowUp, write: Write) -> Mapping[str, Any]:
        try:
            return self.prepare(follow_up, write)
        except Refused as refused:
            message = f"{write.operation} of {write.resource} made a task that is refused: {refused.message}"
            raise WriteError(WriteErrorCode.OPERATION_FAILED, message) from refused
        except Exception as error:  # of an argument of another type
            message = f"{write.operation} of {write.resource} made {follow_up!r:.80}, which is not a task: {error}"
            raise WriteError(WriteErrorCode.OPERATION_FAILED, message) from error

    def _follow(self, batch: Batch, write: Write, changes: Changes) -> None:
        """Add what a deletion does to the records that refer to it. Raises WriteError if one of them forbids it.

        Records that restrict it are looked at last: they may be deleted themselves, whatever the order of the classes.
        """
        gone, restricting = deque(changes), []
        while gone:
            name, record_id = gone.popleft()
            for resource, reference in self._referring.get(name, ()):
                found = batch.referring((resource.name, reference.column), record_id, changes)
                if len(found) + len(changes) > FOLLOWING_MAX + 1:
                    raise too_many(name, record_id)
                for record in found:
                    place = resource.name, record.id
                    if reference.on_delete == "restrict":
                        restricting.append((place, reference.column, (name, record_id)))
                    elif reference.on_delete == "cascade":
                        changes[place] = None
                        gone.append(place)
                    else:
                        is_changed = place in changes  # by another reference of the same deletion
                        changes[place] = resource.without(record, reference.column, write, is_changed=is_changed)
        for place, column, (name, record_id) in restricting:
            record = changes.get(place, batch.record(*place))
            if record is not None and getattr(record, column) == record_id:
                message = f"{place[0]} {place[1]} refers to {name} {record_id}: change or delete it first"
                raise WriteError(WriteErrorCode.REFERENCED, f"{message}; nothing was changed")
        for (name, _id), record in changes.items():
            if record is not None:
                self._resources[name].check_rule(record)


_NONE = Effect({})


def refused(write: Write, error: Exception, now_us: int) -> Write:
    """The write as FAILED, because the database refused it."""
    return _failed(write, WriteErrorCode.CONSTRAINT_VIOLATED, f"The database refused it: {error}", now_us)


def _take(batch: Batch, settled: Write, effect: Effect) -> Write:
    """Let a settled write take effect."""
    batch.apply(settled.id, effect)
    return settled


def _outcome_of(settled: list[Write], batch: Batch, known: Known) -> Outcome:
    outcome = Outcome(settled, made=batch.made)
    for name, after in batch.after.items():
        had = known.records.get(name, {})
        changed = {key: record for key, record in after.items() if had.get(key) is not record}
        outcome.stored[name] = [record for record in changed.values() if record is not None]
        outcome.deleted[name] = [key for key, record in changed.items() if record is None]
    return outcome


def _applied(write: Write, now_us: int) -> Write:
    return write._replace(status=WriteStatus.APPLIED.value, settled_at_us=now_us)


def _failure(batch: Batch, write: Write, error: Exception, now_us: int) -> Write:
    """The write as FAILED with this error; an unexpected error is logged."""
    if isinstance(error, WriteError):
        if isinstance(error, OperationError) and not batch.unknown:
            _log.error("write %d: %s", write.id, error.message, exc_info=error.__cause__)
        return _failed(write, error.code, error.message, now_us)
    if not batch.unknown:
        _log.error("write %d of %s cannot be settled", write.id, write.resource, exc_info=error)
    message = f"It cannot be settled: {type(error).__name__}: {error}"
    return _failed(write, WriteErrorCode.OPERATION_FAILED, message, now_us)


def _failed(write: Write, code: str, message: str, now_us: int) -> Write:
    return write._replace(
        status=WriteStatus.FAILED.value, error_code=str(code), error_message=message, settled_at_us=now_us
    )
