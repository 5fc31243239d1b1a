"""The records, unique values and references that a batch of writes meets, as they are after each of its writes.

What is not known yet is noted as unknown, and read before the batch is settled once more.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from afterwrite.resources.compiled import Record

FOLLOWING_MAX = 1_000
"""How many records a deletion may take along or change."""
Place: TypeAlias = tuple[str, str]
"""A column: the resource and the column's name."""
Changes: TypeAlias = dict[tuple[str, int], Record | None]
"""What one write changes: records by resource and id, None for a deleted one."""


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
        self._owners = {place: dict(owners) for place, owners in known.owners.items()}
        self._limits = known.limits
        self._referring: dict[Place, defaultdict[int, set[int]]] = {}

    def record(self, name: str, record_id: int) -> Record | None:
        """A record, None if there is none or it is not known yet."""
        records = self.after.setdefault(name, {})
        if record_id not in records:
            self.unknown.records[name].add(record_id)
        return records.get(record_id)

    def owner(self, place: Place, value: Any) -> int | None:
        """The id of the record that has this value in a unique column, None if none has it or it is not known yet."""
        owners = self._owners.setdefault(place, {})
        if value not in owners:
            self.unknown.owners[place].add(value)
        return owners.get(value)

    def own(self, place: Place, value: Any, record_id: int | None) -> None:
        """Let a record have a value of a unique column, or none."""
        self._owners.setdefault(place, {})[value] = record_id

    def referring(self, place: Place, record_id: int, changes: Changes) -> list[Record]:
        """The records that refer to a record; at least FOLLOWING_MAX + 1 if there are more.

        Not those that do so no longer by ``changes``, which are not stored yet.
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

    def store(self, changes: Changes) -> None:
        """Let the changes of a write take effect."""
        for (name, record_id), record in changes.items():
            records = self.after.setdefault(name, {})
            for place, index in self._referring.items():
                if place[0] == name:
                    _move(index, place[1], record_id, records.get(record_id), record)
            records[record_id] = record

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
