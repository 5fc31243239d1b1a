"""The SQL statements of the task store, in SQLAlchemy Core, and the rows that they take."""

from operator import attrgetter, itemgetter
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    cast,
    column,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from afterwrite.storage.columns import columns_of
from afterwrite.storage.driver import DriverStatement, ManyRows
from afterwrite.tasks.task import Task, TaskStatus

tasks = Table("tasks", MetaData(), *columns_of(Task), Column("search_text", String), Column("fingerprint", String))
paused_types = Table(
    "paused_task_types",
    MetaData(),
    Column("type", String, primary_key=True),
    Column("paused_by", String),
    Column("paused_at_us", BigInteger),
)
actions = Table(
    "task_actions",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("task_id", BigInteger),
    Column("type", String),
    Column("action", String),
    Column("by", String),
    Column("at_us", BigInteger),
)
meta = Table("meta", MetaData(), Column("name", String), Column("value", String))

COLUMNS = [tasks.c[name] for name in Task._fields]
# Literals as in the partial indexes: the planner would not match a bound value to them.
PENDING = tasks.c.status == literal_column("'PENDING'")
READY = tasks.c.ready == literal_column("1")
SCHEDULED = tasks.c.ready == literal_column("0")
_GIVEN_ONCE = {"id", "type", "payload_json", "max_attempts", "priority", "correlation_id", "callback_url"}
_GIVEN_ONCE |= {"idempotency_key", "created_at_us", "created_by", "traceparent"}
CHANGED = [name for name in Task._fields if name not in _GIVEN_ONCE]


class _Ids(FunctionElement[int]):
    """The numbers in a JSON array, so that one statement serves any number of ids."""

    name, inherit_cache = "ids", True


@compiles(_Ids, "sqlite")
def _ids_for_sqlite(element: _Ids, compiler: SQLCompiler, **options: Any) -> str:
    text = compiler.process(element.clause_expr, **options)
    return f"(SELECT value FROM json_each{text})"  # noqa: S608 - a parameter name


@compiles(_Ids, "postgresql")
def _ids_for_postgresql(element: _Ids, compiler: SQLCompiler, **options: Any) -> str:
    text = compiler.process(element.clause_expr, **options)
    return f"(SELECT value::bigint FROM json_array_elements_text({text}::json))"  # noqa: S608 - a parameter name


class _Now(ColumnElement[int]):
    """The start of the transaction: the parameter ``now`` in SQLite, the database's own clock in PostgreSQL."""

    inherit_cache, type = True, BigInteger()


@compiles(_Now, "sqlite")
def _now_for_sqlite(element: _Now, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(bindparam("now", type_=BigInteger), **options)


@compiles(_Now, "postgresql")
def _now_for_postgresql(element: _Now, compiler: SQLCompiler, **options: Any) -> str:
    return "(extract(epoch FROM now()) * 1000000)::bigint"


NOW = _Now()
_GIVEN_IDS = _Ids(bindparam("ids"))
_ROWS = bindparam("rows", type_=Text)
_STORED = [column.name for column in tasks.c]
# The rows of a JSON array, as columns with the names and types of the table.
_new_rows = func.json_to_recordset(cast(_ROWS, JSON)).table_valued(
    *(column(name, tasks.c[name].type) for name in _STORED), name="given"
)
_saved_rows = func.json_to_recordset(cast(_ROWS, JSON)).table_valued(
    column("of_id", BigInteger),
    column("of_claim", BigInteger),
    column("of_status", String),
    column("of_cancel_asked", BigInteger),
    *(column(f"new_{name}", tasks.c[name].type) for name in CHANGED),
    name="given",
)

INSERT = ManyRows(
    insert(tasks), insert(tasks).from_select(_STORED, select(*_new_rows.render_derived(with_types=True).c))
)
# A fixed order prevents deadlocks between transactions that lock the same rows.
BY_IDS = DriverStatement(select(*COLUMNS).where(tasks.c.id.op("IN")(_GIVEN_IDS)).order_by(tasks.c.id).with_for_update())
BY_KEY = DriverStatement(select(*COLUMNS, tasks.c.fingerprint).where(tasks.c.idempotency_key == bindparam("key")))
# Optimistic concurrency: nothing changes unless the row is as it was when the new one was computed.
_given = _saved_rows.render_derived(with_types=True)
SAVE = ManyRows(
    update(tasks)
    .where(
        tasks.c.id == bindparam("of_id"),
        tasks.c.claim == bindparam("of_claim"),
        tasks.c.status == bindparam("of_status"),
    )
    .values({name: bindparam(f"new_{name}") for name in CHANGED}),
    update(tasks)
    .where(tasks.c.id == _given.c.of_id, tasks.c.claim == _given.c.of_claim, tasks.c.status == _given.c.of_status)
    .values({name: _given.c[f"new_{name}"] for name in CHANGED}),
)
# Matches the lock holder, written so that only the ids select the rows: through the index on status or on locks,
# PostgreSQL would scan every task that ran a moment ago. A locked task is PROCESSING.
_IS_OURS = func.coalesce(tasks.c.locked_by, "") == bindparam("worker")
HELD = DriverStatement(
    select(tasks.c.id, tasks.c.claim, tasks.c.cancel_asked)
    .where(tasks.c.id.op("IN")(_GIVEN_IDS), _IS_OURS)
    .with_for_update()
)
# One statement, for tasks without a new cancel request; returns the ids of the saved ones.
SAVE_HELD = DriverStatement(
    update(tasks)
    .where(
        tasks.c.id == _given.c.of_id,
        tasks.c.claim == _given.c.of_claim,
        tasks.c.cancel_asked == _given.c.of_cancel_asked,
        _IS_OURS,
    )
    .values({name: _given.c[f"new_{name}"] for name in CHANGED})
    .returning(tasks.c.id)
)
# Checked in the claim itself: once a pause is answered, no process claims any more.
_paused = exists().where(paused_types.c.type == bindparam("type_"))
_NEXT = (
    select(tasks.c.id)
    .where(READY, tasks.c.type == bindparam("type_"), ~_paused)
    .order_by(tasks.c.priority.desc(), tasks.c.run_at_us, tasks.c.id)
    .limit(bindparam("slots"))
    .with_for_update(skip_locked=True)
)
_CLAIMED = {
    "status": TaskStatus.PROCESSING.value,
    "ready": 0,
    "claim": tasks.c.claim + 1,
    "attempt": tasks.c.attempt + 1,
    "locked_by": bindparam("worker"),
    "locked_at_us": NOW,
    "started_at_us": func.coalesce(tasks.c.started_at_us, NOW),
    "updated_at_us": NOW,
}
# PostgreSQL may run a subquery more than once and lock other rows each time; a materialized CTE runs once.
_next = _NEXT.cte("next_tasks").prefix_with("MATERIALIZED", dialect="postgresql")
CLAIM = DriverStatement(
    update(tasks).where(tasks.c.id.in_(_NEXT.scalar_subquery()), READY).values(_CLAIMED).returning(*COLUMNS),
    postgresql=lambda: update(tasks).where(tasks.c.id == _next.c.id).values(_CLAIMED).returning(*COLUMNS),
)
RENEW = DriverStatement(
    update(tasks)
    .where(tasks.c.id.op("IN")(_GIVEN_IDS), _IS_OURS)
    .values(locked_at_us=NOW)
    .returning(tasks.c.id, tasks.c.claim, tasks.c.cancel_asked)
)
DUE = DriverStatement(
    select(*COLUMNS)
    .where(PENDING, SCHEDULED, tasks.c.run_at_us <= NOW)
    .order_by(tasks.c.run_at_us)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
MAKE_READY = DriverStatement(update(tasks).where(tasks.c.id.op("IN")(_GIVEN_IDS), PENDING).values(ready=1))
NEXT_DUE = DriverStatement(select(func.min(tasks.c.run_at_us)).where(PENDING, SCHEDULED))
EXPIRED = DriverStatement(
    select(*COLUMNS)
    .where(
        tasks.c.locked_by.is_not(None), tasks.c.locked_at_us <= bindparam("before"), tasks.c.id.op("NOT IN")(_GIVEN_IDS)
    )
    .order_by(tasks.c.locked_at_us)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
FORGOTTEN = DriverStatement(
    select(*COLUMNS)
    .where(tasks.c.locked_by == bindparam("worker"), tasks.c.id.op("NOT IN")(_GIVEN_IDS))
    .order_by(tasks.c.locked_at_us)
    .limit(bindparam("most"))
    .with_for_update()
)
_OLD = (
    select(tasks.c.id)
    .where(tasks.c.finished_at_us.is_not(None), tasks.c.finished_at_us < bindparam("before"))
    .limit(bindparam("most"))
)
OLDEST_END = DriverStatement(select(func.min(tasks.c.finished_at_us)).where(tasks.c.finished_at_us.is_not(None)))
PRUNE = DriverStatement(delete(tasks).where(tasks.c.id.in_(_OLD.scalar_subquery())).returning(tasks.c.id))
DROP_ACTIONS = DriverStatement(delete(actions).where(actions.c.task_id.op("IN")(_GIVEN_IDS)))
ADD_ACTION = DriverStatement(insert(actions))


def _insert_in_postgresql(table: Table) -> Any:
    from sqlalchemy.dialects import postgresql  # 30 modules, which SQLite does not need

    return postgresql.insert(table)


# Two processes may pause a type at once: the row count says which one did.
PAUSE = DriverStatement(
    insert(paused_types).prefix_with("OR IGNORE"),
    postgresql=lambda: _insert_in_postgresql(paused_types).on_conflict_do_nothing(),
)
RESUME = DriverStatement(delete(paused_types).where(paused_types.c.type == bindparam("type")))
STORE_NAME = DriverStatement(select(meta.c.value).where(meta.c.name == "store"))
KEPT = DriverStatement(select(meta.c.value).where(meta.c.name == bindparam("name")))
KEPT_LOCKED = DriverStatement(select(meta.c.value).where(meta.c.name == bindparam("name")).with_for_update())
_KEPT_ROW = {"name": bindparam("name", type_=String), "value": bindparam("value", type_=String)}
_KEPT_VALUE = {"value": bindparam("value", type_=String)}
KEEP = DriverStatement(
    sqlite.insert(meta).values(_KEPT_ROW).on_conflict_do_update(index_elements=["name"], set_=_KEPT_VALUE),
    postgresql=lambda: (
        _insert_in_postgresql(meta).values(_KEPT_ROW).on_conflict_do_update(index_elements=["name"], set_=_KEPT_VALUE)
    ),
)

Prepared = dict[str, Any]
"""The columns of a new task that follow from its request and its type."""
_NEW: Prepared = {name: 0 if kind is int else None for name, kind in Task.__annotations__.items()}
_NEW["status"] = TaskStatus.PENDING.value
_NEW_NAMES = [f"new_{name}" for name in CHANGED]
_changed_of, _values_of_task = attrgetter(*CHANGED), itemgetter(*Task._fields)


def new_row(task_id: int, prepared: Prepared, now: int) -> dict[str, Any]:
    """The row of a new task; ``now`` is in microseconds since 1970."""
    run_at = now if prepared.get("run_at_us") is None else prepared["run_at_us"]
    times = {"run_at_us": run_at, "ready": int(run_at <= now), "created_at_us": now, "updated_at_us": now}
    return _NEW | prepared | times | {"id": task_id}


def task_of(row: dict[str, Any]) -> Task:
    """The task in a row, without the columns that only the table has."""
    return Task._make(_values_of_task(row))


def saving(before: Task, new: Task) -> dict[str, Any]:
    """The parameters of the save statements to replace ``before`` with ``new``."""
    values = dict(zip(_NEW_NAMES, _changed_of(new), strict=True))
    values |= {"of_id": before.id, "of_claim": before.claim, "of_status": before.status}
    values["of_cancel_asked"] = before.cancel_asked
    return values
