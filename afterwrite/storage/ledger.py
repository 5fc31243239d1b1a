"""Queries of the ledger, the permanent record of settled writes in the product database."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    MetaData,
    Select,
    String,
    Table,
    bindparam,
    func,
    literal_column,
    or_,
    select,
)

from afterwrite.resources.write import MAKES_RECORDS, Write, WriteFilter, WriteStatus
from afterwrite.storage.columns import columns_of
from afterwrite.storage.driver import DriverStatement, Reader
from afterwrite.storage.outbox import MadeTasks, outbox_after

# In the order of the schema, where later versions added the last ones.
_NAMES = (
    "id operation record_id arguments accepted_at_us retry_of status error_code error_message settled_at_us "
    "accepted_by resource if_version"
)
ledger = Table("ledger", MetaData(), *columns_of(Write, _NAMES.split()))
ledger_totals = Table("ledger_totals", MetaData(), Column("status", String), Column("writes", BigInteger))

_columns = select(*(ledger.c[name] for name in Write._fields))
_by_id = DriverStatement(_columns.where(ledger.c.id == bindparam("id")))
_by_range = _columns.where(ledger.c.id >= bindparam("first"), ledger.c.id < bindparam("end")).order_by(ledger.c.id)
# A failed update may name any id; that does not make it used.
_last_record = select(func.max(ledger.c.record_id)).where(
    ledger.c.resource == bindparam("resource"),
    or_(ledger.c.operation.in_(MAKES_RECORDS), ledger.c.status == WriteStatus.APPLIED.value),
)


class Ledger:
    """Reads over one engine; every method may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._reader = engine, Reader(engine)

    def find(self, write_id: int) -> Write | None:
        """A settled write, or None."""
        found = self._reader.rows(_by_id, {"id": write_id})
        return Write._make(found[0]) if found else None

    def find_range(self, first: int, count: int) -> list[Write]:
        """The settled writes among ``count`` consecutive ids from ``first``."""
        return self._writes(_by_range, {"first": first, "end": first + count})

    def newest(self, wanted: WriteFilter, before: int, limit: int) -> list[Write]:
        """The newest ``limit`` settled writes with an id below ``before``, newest first."""
        filters = (wanted.resource is not None, wanted.record_id is not None, wanted.by is not None)
        statement = newest_statement(wanted.status, *filters)
        values = {
            "before": before,
            "limit": limit,
            "resource": wanted.resource,
            "record_id": wanted.record_id,
            "by": wanted.by,
        }
        return self._writes(statement, values)

    def totals(self) -> dict[str, int]:
        """The number of APPLIED and FAILED writes since the catalogue was created."""
        with self._engine.connect() as connection:
            return {row.status: row.writes for row in connection.execute(select(ledger_totals))}

    def last_id(self) -> int:
        """The largest settled write id; 0 if there is none."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.max(ledger.c.id))).scalar() or 0

    def last_record_id(self, resource: str) -> int:
        """The largest record id that a settled write gave to a resource; 0 if there is none."""
        with self._engine.connect() as connection:
            return connection.execute(_last_record, {"resource": resource}).scalar() or 0

    def made_tasks(self, after: int, limit: int) -> list[MadeTasks]:
        """What the oldest ``limit`` writes with an id above ``after`` made that may not be in the task queue yet."""
        with self._engine.connect() as connection:
            rows = connection.execute(outbox_after, {"after": after, "limit": limit}).all()
        return [MadeTasks.of_row(*row) for row in rows]

    def _writes(self, statement: Select[Any], values: Mapping[str, Any]) -> list[Write]:
        with self._engine.connect() as connection:
            return [Write._make(row) for row in connection.execute(statement, values).all()]


@cache
def newest_statement(status: WriteStatus | None, of_resource: bool, of_record: bool, by_name: bool) -> Select[Any]:
    """A page of settled writes, newest first; every combination of filters reads an index in order."""
    page = _columns.where(ledger.c.id < bindparam("before"))
    if status is not None:
        # A literal as in the partial indexes: the planner would not match a bound value.
        page = page.where(ledger.c.status == literal_column(f"'{status.value}'"))
    # A record has few writes, a caller or a resource may have nearly all: concat keeps the planner off their indexes.
    if of_record:
        page = page.where(ledger.c.record_id == bindparam("record_id"))
    if by_name:
        name = ledger.c.accepted_by.concat("") if of_record else ledger.c.accepted_by
        page = page.where(name == bindparam("by"))
    if of_resource:
        has_another_index = not of_record and (by_name or status is WriteStatus.FAILED)
        resource = ledger.c.resource.concat("") if has_another_index else ledger.c.resource
        page = page.where(resource == bindparam("resource"))
    return page.order_by(ledger.c.id.desc()).limit(bindparam("limit"))
