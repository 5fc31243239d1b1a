"""A dataloader: reads the records of many receipts in one query for each resource."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.storage.records import Records


class RecordLoader:
    """Records by resource and id, for one request; the first ``get`` reads all expected ids of a resource together."""

    def __init__(self, records: Mapping[str, Records]) -> None:
        self._records = records
        self._expected: defaultdict[str, set[int]] = defaultdict(set)
        self._found: dict[tuple[str, int], Record | None] = {}

    def expect(self, keys: Iterable[tuple[str, int]]) -> None:
        """Add records, each by resource and id, to the next query, even if they were read before."""
        for resource, record_id in keys:
            self._expected[resource].add(record_id)

    def expect_referred(self, resource: CompiledResource, records: Iterable[Record]) -> None:
        """Add what these records refer to, so that one query reads it for all of them."""
        for one in resource.references:
            place = resource.columns.index(one.column)
            self._expected[one.target].update(record[place] for record in records if record[place] is not None)

    def get(self, resource: str, record_id: int) -> Record | None:
        """The record, or None if it is not created yet, deleted, or of no declared resource. Raises StoreError."""
        if resource not in self._records:
            return None
        expected = self._expected[resource]
        if (resource, record_id) not in self._found:
            expected.add(record_id)
        if record_id in expected:
            found = self._records[resource].get_many(list(expected))
            self._found |= {(resource, number): found.get(number) for number in expected}
            expected.clear()
            self.expect_referred(self._records[resource].resource, found.values())
        return self._found[resource, record_id]
