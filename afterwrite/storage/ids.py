"""Row ids: time-ordered in SQLite, from a sequence in PostgreSQL."""

from sqlalchemy import Integer, Sequence, Table, bindparam, func, select

from afterwrite.base.time_ordered import next_id
from afterwrite.storage.driver import DriverConnection, DriverStatement


class Ids:
    """The ids of one table; call it inside a transaction, from one thread at a time."""

    def __init__(self, connection: DriverConnection, table: Table, sequence: str) -> None:
        """``sequence`` is the PostgreSQL sequence."""
        numbers = func.generate_series(1, bindparam("count", type_=Integer)).table_valued("number")
        self._next = DriverStatement(select(Sequence(sequence).next_value()).select_from(numbers))
        self._last_id = 0
        if not connection.is_far:
            newest = DriverStatement(select(func.max(table.c.id)))
            self._last_id = newest.rows(connection)[0][0] or 0

    def take(self, connection: DriverConnection, count: int) -> list[int]:
        """``count`` new ids in ascending order."""
        if connection.is_far:
            return [row[0] for row in self._next.rows(connection, {"count": count})]
        taken = []
        for _ in range(count):
            self._last_id = next_id(self._last_id, connection.now_us)
            taken.append(self._last_id)
        return taken
