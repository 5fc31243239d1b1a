"""Says what the catalogue must be: a dict of products, a list of writes, a plain substring search."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from unicodedata import normalize

from afterwrite.resources.product import Product
from afterwrite.resources.write import Operation, Write, WriteErrorCode, WriteStatus

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
    """Every write that is on disk, in order; the first ``settled`` of them have changed ``products``."""

    writes: list[Write] = field(default_factory=list)
    settled: int = 0
    products: dict[int, dict[str, Any]] = field(default_factory=dict)
    outcomes: dict[int, tuple[WriteStatus, WriteErrorCode | None]] = field(default_factory=dict)
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
                taken = {old.product_id for old in self.writes if old.operation == Operation.CREATE}
                assert write.product_id not in taken, "a product id was used again"
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

    def stored(self) -> list[Product]:
        """All products by id."""
        return [Product(**self.products[key]) for key in sorted(self.products)]

    def status(self, write: Write) -> WriteStatus:
        """The status of a write."""
        return self.outcomes[write.id][0] if write.id in self.outcomes else WriteStatus.QUEUED

    def _apply(self, write: Write) -> WriteErrorCode | None:
        present = self.products.get(write.product_id)
        fields = json.loads(write.arguments)
        if write.operation == Operation.CREATE and present is not None:
            return WriteErrorCode.PRODUCT_EXISTS
        if write.operation != Operation.CREATE and present is None:
            return WriteErrorCode.PRODUCT_NOT_FOUND
        if write.operation == Operation.DELETE:
            del self.products[write.product_id]
            return None
        if not _FIELDS.issuperset(fields):
            return WriteErrorCode.UNREADABLE
        if fields.get("price_minor", 0) < 0:
            return WriteErrorCode.CONSTRAINT_VIOLATED
        fields = {
            name: normalize("NFC", value) if name in _TEXTS and value is not None else value
            for name, value in fields.items()
        }
        made = {"id": write.product_id, "created_at_us": write.accepted_at_us, "version": 0}
        before = made if present is None else present
        self.products[write.product_id] = {
            **before,
            **fields,
            "updated_at_us": write.accepted_at_us,
            "version": before["version"] + 1,
        }
        return None
