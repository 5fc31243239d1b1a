"""The outbox: the tasks that applied writes made, stored in their transaction, until the task queue has them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column, MetaData, String, Table, bindparam, select

_outbox = Table("outbox", MetaData(), Column("write_id", BigInteger, primary_key=True), Column("tasks", String))
outbox_after = (
    select(_outbox.c.write_id, _outbox.c.tasks)
    .where(_outbox.c.write_id > bindparam("after"))
    .order_by(_outbox.c.write_id)
    .limit(bindparam("limit"))
)


class MadeTasks(NamedTuple):
    """The tasks that a write made, as the task queue stores them."""

    write_id: int
    tasks: Sequence[Mapping[str, Any]]

    @property
    def row(self) -> tuple[int, str]:
        """The row of the outbox."""
        return self.write_id, json.dumps(self.tasks, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def of_row(cls, write_id: int, tasks: str) -> "MadeTasks":
        """The tasks in a row."""
        return cls(write_id, json.loads(tasks))
