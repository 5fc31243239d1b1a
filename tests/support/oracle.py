"""Says what the records must be: a dict of them, a list of writes, a plain substring search."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from unicodedata import normalize

from declarations import Locker
from declared import PRODUCT

from afterwrite.resources.compiled import Record
from afterwrite.resources.registry import compiled
from afterwrite.resources.write import Operation, Write, WriteErrorCode, WriteStatus

LOCKER = compiled(Locker)
_FIELDS = frozenset(("title", "price_minor", "description", "category", "image", "rating_rate", "rating_count"))
_TEXTS = ("title", "description", "category")


def found_by(term: str, product: Mapping[str, Any]) -> bool:
    """Whether a search finds a product: a substring of one of three fields, whatever their case and composition."""
    texts = (product["title"], product["description"] or "", product["category"] or "")
    return any(_folded(term) in _folded(text) for text in texts)


def _folded(text: str) -> str:
    return normalize("NFC", normalize("NFC", text).casefold())


@dataclass
class Oracle:
    """Every write that is on disk, in order; the first ``settled`` of them have changed products and lockers."""

    writes: list[Write] = field(default_factory=list)
    settled: int = 0
    products: dict[int, dict[str, Any]] = field(default_factory=dict)
    lockers: dict[int, dict[str, Any]] = field(default_factory=dict)
    outcomes: dict[int, tuple[WriteStatus, str | None]] = field(default_factory=dict)
    keys: dict[str, tuple[list[tuple[Any, ...]], list[int]]] = field(default_factory=dict)

    @property
    def waiting(self) -> list[Write]:
        """The writes that are to be settled."""
        return self.writes[self.settled :]

    def accept(self, writes: Iterable[Write]) -> None:
        """The writes are on disk."""
        for write in writes:
            assert not self.writes or write.id > self.writes[-1].id, "ids must rise"
            if write.operation == Operation.CREATE and write.retry_of is None:
                creates = [old for old in self.writes if old.operation == Operation.CREATE]
                taken = {(old.resource, old.record_id) for old in creates}
                assert (write.resource, write.record_id) not in taken, "an id was used again"
            self.writes.append(write)

    def settle(self, count: int) -> None:
        """The next ``count`` waiting writes are applied or failed, in order."""
        for write in self.waiting[:count]:
            code = self._apply(write)
            status = WriteStatus.APPLIED if code is None else WriteStatus.FAILED
            self.outcomes[write.id] = (status, code)
            self.settled += 1

    def search(self, term: str) -> list[int]:
        """The ids of the products that a search finds."""
        return sorted(key for key, product in self.products.items() if found_by(term, product))

    def stored(self) -> list[Record]:
        """All products by id."""
        return [PRODUCT.record(**self.products[key]) for key in sorted(self.products)]

    def stored_lockers(self) -> list[Record]:
        """All lockers by id."""
        return [LOCKER.record(**self.lockers[key]) for key in sorted(self.lockers)]

    def status(self, write: Write) -> WriteStatus:
        """The status of a write."""
        return self.outcomes[write.id][0] if write.id in self.outcomes else WriteStatus.QUEUED

    def _apply(self, write: Write) -> str | None:
        records = self.products if write.resource == "Product" else self.lockers
        present, fields = records.get(write.record_id), json.loads(write.arguments)
        if write.operation == Operation.CREATE and present is not None:
            return f"{write.resource.upper()}_EXISTS"
        if write.operation != Operation.CREATE and present is None:
            return f"{write.resource.upper()}_NOT_FOUND"
        if present is not None and write.if_version not in (None, present["version"]):
            return WriteErrorCode.VERSION_CONFLICT
        if write.operation == Operation.DELETE:
            del records[write.record_id]
            return None
        change = self._change_product if write.resource == "Product" else self._change_locker
        refused = change(write, present, fields)
        if refused is not None:
            return refused
        made = {"id": write.record_id, "created_at_us": write.accepted_at_us, "version": 0}
        before = made if present is None else present
        records[write.record_id] = {
            **before,
            **fields,
            "updated_at_us": write.accepted_at_us,
            "version": before["version"] + 1,
        }
        return None

    def _change_product(self, _write: Write, _present: dict[str, Any] | None, fields: dict[str, Any]) -> str | None:
        if not _FIELDS.issuperset(fields):
            return WriteErrorCode.UNREADABLE
        if fields.get("price_minor", 0) < 0:
            return WriteErrorCode.CONSTRAINT_VIOLATED
        for name in _TEXTS:
            if fields.get(name) is not None:
                fields[name] = normalize("NFC", fields[name])
        return None

    def _change_locker(self, write: Write, present: dict[str, Any] | None, fields: dict[str, Any]) -> str | None:
        if present is not None and write.operation == "PUT":
            fields["content"] = present["content"] + fields.pop("amount")
            return "EMPTY" if fields["content"] < 0 else None
        others = [locker for key, locker in self.lockers.items() if key != write.record_id]
        return "NOT_UNIQUE" if fields.get("code") in [locker["code"] for locker in others] else None
