"""The records, unique values and references that a batch of writes meets, as they are after each of its writes.

It collects what must be read; the writes that need it are settled again until nothing is missing.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from afterwrite.resources.compiled import Record
from afterwrite.storage.outbox import MadeTasks

FOLLOWING_MAX = 1_000
"""How many records a deletion may delete or change beside its own."""
Place: TypeAlias = tuple[str, str]
"""A column: the resource and the column's name."""
Changes: TypeAlias = dict[tuple[str, int], Record | None]
"""What one write changes: records by resource and id, None for a deleted one."""


class Effect(NamedTuple):
    """What a write does: the records that it changes, the unique values that change owner, and the tasks it makes."""

    changes: Changes
    owned: Sequence[tuple[Place, Any, int | None]] = ()
    tasks: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True)
class Known:
    """What was read of the state before the batch.

    ``records`` has None for an id without a record, ``owners`` the id that holds a value of a unique column, None if
    none does. ``limits`` says how many records that refer to a record were asked for, 0 if these were all.
    """

    records: dict[str, dict[int, Record | None]] = field(default_factory=dict)
    owners: dict[Place, dict[Any, int | None]] = field(default_factory=dict)
    limits: dict[tuple[Place, int], int] = field(default_factory=dict)


@dataclass(slots=True)
class Unknown:
    """What must be read: ids of records, values of unique columns, and how many records that refer to an id."""

    records: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    owners: defaultdict[Place, set[Any]] = field(default_factory=lambda: defaultdict(set))
    referring: defaultdict[Place, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    def __bool__(self) -> bool:
        return bool(self.records or self.owners or self.referring)


class Batch:
    """The state during a batch; ``after`` are the records that it concerns, by resource and id."""

    def __init__(self, known: Known) -> None:
        self.after: dict[str, dict[int, Record | None]] = {name: dict(found) for name, found in known.records.items()}
        self.unknown = Unknown()
        self.made: list[MadeTasks] = []
        self.changed = 0  # how often a record was changed
        self._owners = {place: dict(owners) for place, owners in known.owners.items()}
        self._limits = dict(known.limits)
        self._referring: dict[Place, defaultdict[int, set[int]]] = {}

    def learn(self, known: Known) -> None:
        """Take what was read since; what the batch has changed already stays."""
        self.unknown = Unknown()
        self._limits |= known.limits
        for place, owners in known.owners.items():
            self._owners[place] = owners | self._owners.get(place, {})
        for name, found in known.records.items():
            records = self.after.setdefault(name, {})
            new = {record_id: record for record_id, record in found.items() if record_id not in records}
            self._note_references({(name, record_id): record for record_id, record in new.items()})
            records |= new

    def record(self, name: str, record_id: int) -> Record | None:
        """A record, None if there is none or it is not known yet."""
        try:
            return self.after[name][record_id]
        except KeyError:
            self.after.setdefault(name, {})
            self.unknown.records[name].add(record_id)
            return None

    def owner(self, place: Place, value: Any) -> int | None:
        """The id of the record that has this value in a unique column, None if none has it or it is not known yet."""
        owners = self._owners.setdefault(place, {})
        if value not in owners:
            self.unknown.owners[place].add(value)
        return owners.get(value)

    def referring(self, place: Place, record_id: int, changes: Changes) -> list[Record]:
        """The records that refer to a record; at least FOLLOWING_MAX + 1 if there are more.

        Not those that do so no longer by ``changes``, which have not taken effect yet.
        """
        name, column = place
        ids = sorted(self._index(place)[record_id])
        now = [changes.get((name, one), self.after[name][one]) for one in ids]
        found = [record for record in now if record is not None and getattr(record, column) == record_id]
        limit = self._limits.get((place, record_id))
        if limit is None:
            self.unknown.referring[place][record_id] = FOLLOWING_MAX + 1
        elif limit and len(found) <= FOLLOWING_MAX:  # the batch took some of these away, and there may be others
            self.unknown.referring[place][record_id] = 2 * limit
        return found

    def apply(self, write_id: int, effect: Effect) -> None:
        """Let a write take effect."""
        changes, owned, tasks = effect
        if self._referring:
            self._note_references(changes)
        for (name, record_id), record in changes.items():
            self.after[name][record_id] = record
        for place, value, owner in owned:
            self._owners.setdefault(place, {})[value] = owner
        self.changed += len(changes)
        if tasks:
            self.made.append(MadeTasks(write_id, tasks))

    def _note_references(self, changes: Changes) -> None:
        for place, index in self._referring.items():
            for (name, record_id), record in changes.items():
                if name == place[0]:
                    _move(index, place[1], record_id, self.after[name].get(record_id), record)

    def _index(self, place: Place) -> defaultdict[int, set[int]]:
        """The ids of the records that refer to an id, by that id."""
        name, column = place
        index = self._referring.get(place)
        if index is None:
            index = self._referring[place] = defaultdict(set)
            for record_id, record in self.after.setdefault(name, {}).items():
                _move(index, column, record_id, None, record)
        return index


def _move(index: Mapping[int, set[int]], column: str, record_id: int, had: Record | None, has: Record | None) -> None:
    if had is not None and (target := getattr(had, column)) is not None:
        index[target].discard(record_id)
    if has is not None and (target := getattr(has, column)) is not None:
        index[target].add(record_id)
