"""PostgreSQL connections, and the mapping of driver errors to store errors."""

import select
import sys
from functools import partial
from typing import Any

import psycopg
from psycopg.pq import ConnStatus
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import InvalidatePoolError

from afterwrite.base.store_errors import StoreUnavailable, TransactionConflict
from afterwrite.storage.driver import SCHEMA, DriverConnection, translate_errors
from afterwrite.storage.postgres.address import Address
from afterwrite.storage.postgres.pipelined import PipelinedConnection

_READ_WAIT_SECONDS = 30
# Two processes added the same key concurrently: a retry finds the first one's row.
_ADDED_AT_ONCE = "tasks_by_key"
_CONFLICTS = "40"  # SQLSTATE class 40, transaction rollback: a deadlock or a serialization failure


def connect(address: Address, *, prepared: bool = True) -> "psycopg.Connection[Any]":
    """A connection in autocommit. Raises StoreUnavailable.

    ``prepared`` allows prepared statements, which may break behind a transaction pooler.
    """
    try:
        connection = psycopg.connect(address.conninfo, autocommit=True, **address.options())
    except psycopg.Error as error:
        raise StoreUnavailable(f"PostgreSQL cannot be reached at {address}: {_message_of(error)}") from error
    connection.prepare_threshold = 5 if prepared else None
    return connection


async def connect_async(address: Address, *, prepared: bool = True) -> "psycopg.AsyncConnection[Any]":
    """``connect`` for the background loop."""
    try:
        connection = await psycopg.AsyncConnection.connect(address.conninfo, autocommit=True, **address.options())
    except psycopg.Error as error:
        raise StoreUnavailable(f"PostgreSQL cannot be reached at {address}: {_message_of(error)}") from error
    connection.prepare_threshold = 5 if prepared else None
    return connection


def is_pooled(connection: "psycopg.Connection[Any]") -> bool:
    """Whether a pooler is in between: it reports another backend pid than the server itself."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] != connection.info.backend_pid


def open_writer(address: Address, *, prepared: bool = True) -> DriverConnection:
    """A pipelined connection for writing. Raises StoreUnavailable."""
    raw = connect(address, prepared=prepared)
    explain = partial(explained, f"PostgreSQL at {address} cannot be used")
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]
    return PipelinedConnection(raw, dialect, explain, lambda: is_alive(raw))


def open_reader(address: Address, connections: int, *, prepared: bool = True, writes: bool = True) -> Engine:
    """An engine in autocommit: each statement sees the newest commit. ``writes`` also allows writes."""
    given = address.options() | ({} if prepared else {"prepare_threshold": None})
    if not writes:
        given["options"] = "-c default_transaction_read_only=on"
    engine = create_engine(
        address.url,
        isolation_level="AUTOCOMMIT",
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_READ_WAIT_SECONDS,
        pool_reset_on_return=None,
        connect_args=given,
    )

    @event.listens_for(engine, "checkout")
    def _check(connection: Any, _record: Any, _proxy: Any) -> None:
        if not is_alive(connection):
            raise InvalidatePoolError("the server has closed the connection")

    translate_errors(engine, partial(explained, f"PostgreSQL at {address} cannot be read"))
    return engine.execution_options(schema_translate_map={None: SCHEMA})


def is_alive(connection: Any) -> bool:
    """Whether an idle connection is still open, checked locally without a round trip."""
    pgconn = connection.pgconn
    if pgconn.status != ConnStatus.OK:
        return False
    if not _readable(pgconn.socket):
        return True
    try:  # a notice, or the end
        pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    return bool(pgconn.status == ConnStatus.OK)


if sys.platform == "win32":

    def _readable(handle: int) -> bool:
        return bool(select.select([handle], [], [], 0)[0])

else:

    def _readable(handle: int) -> bool:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(0))


def explained(what: str, error: Exception) -> Exception:
    """StoreUnavailable or TransactionConflict for an error of the database, else the error itself."""
    if isinstance(error, psycopg.errors.UniqueViolation) and error.diag.constraint_name == _ADDED_AT_ONCE:
        return TransactionConflict(f"{what}: {_message_of(error)}. It is tried again")
    if not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)):
        return error
    if (getattr(error, "sqlstate", None) or "").startswith(_CONFLICTS):
        return TransactionConflict(f"{what}: {_message_of(error)}. It is tried again")
    return StoreUnavailable(f"{what}: {_message_of(error)}. What was accepted is safe; see /health")


def _message_of(error: Exception) -> str:
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((said or str(error)).split())[:300] or type(error).__name__
