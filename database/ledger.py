"""Reads the ledger: the settled writes, kept for good beside the products they changed."""

from sqlalchemy import BigInteger, Column, Engine, MetaData, String, Table, bindparam, func, or_, select

from writes import Operation, Write, WriteStatus

ledger = Table(
    "ledger",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("operation", String, nullable=False),
    Column("product_id", BigInteger, nullable=False),
    Column("arguments", String, nullable=False),
    Column("accepted_at_us", BigInteger, nullable=False),
    Column("retry_of", BigInteger),
    Column("status", String, nullable=False),
    Column("error_code", String),
    Column("error_message", String),
    Column("settled_at_us", BigInteger, nullable=False),
)
ledger_totals = Table("ledger_totals", MetaData(), Column("status", String), Column("writes", BigInteger))

_columns = select(*(ledger.c[name] for name in Write._fields))
_by_id = _columns.where(ledger.c.id == bindparam("id"))
_by_range = _columns.where(ledger.c.id >= bindparam("first"), ledger.c.id < bindparam("end")).order_by(
    ledger.c.id
)
_newest = (
    _columns.where(ledger.c.id < bindparam("before")).order_by(ledger.c.id.desc()).limit(bindparam("limit"))
)
_newest_by_status = {
    status: _newest.where(ledger.c.status == status.value)
    for status in (WriteStatus.APPLIED, WriteStatus.FAILED)
}
# A client may name any number in an update that fails: that gives out no id.
_last_product = select(func.max(ledger.c.product_id)).where(
    or_(ledger.c.operation == Operation.CREATE.value, ledger.c.status == WriteStatus.APPLIED.value)
)


class Ledger:
    """Reads over one engine; every method may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, write_id: int) -> Write | None:
        """A settled write, or None when it waits or never was."""
        with self._engine.connect() as connection:
            row = connection.execute(_by_id, {"id": write_id}).first()
        return None if row is None else Write._make(row)

    def find_range(self, first: int, count: int) -> list[Write]:
        """Those of ``count`` consecutive writes from id ``first`` that are settled."""
        with self._engine.connect() as connection:
            rows = connection.execute(_by_range, {"first": first, "end": first + count}).all()
        return [Write._make(row) for row in rows]

    def newest(self, before: int, limit: int, status: WriteStatus | None = None) -> list[Write]:
        """The newest ``limit`` settled writes with an id below ``before``, newest first."""
        statement = _newest if status is None else _newest_by_status[status]
        with self._engine.connect() as connection:
            rows = connection.execute(statement, {"before": before, "limit": limit}).all()
        return [Write._make(row) for row in rows]

    def totals(self) -> dict[str, int]:
        """How many writes were APPLIED and FAILED since the catalogue was made."""
        with self._engine.connect() as connection:
            return {row.status: row.writes for row in connection.execute(select(ledger_totals))}

    def last_ids(self) -> tuple[int, int]:
        """The greatest settled write id, and the greatest product id that was ever given out; 0 for none."""
        with self._engine.connect() as connection:
            last_write = connection.execute(select(func.max(ledger.c.id))).scalar()
            last_product = connection.execute(_last_product).scalar()
        return last_write or 0, last_product or 0
