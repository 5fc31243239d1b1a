"""Writes an embedded installation into PostgreSQL: one transaction, in which nothing else uses the database."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from afterwrite.base.store_errors import StoreError
from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage.driver import SCHEMA
from afterwrite.storage.moving.rows import Report, Row, chunks
from afterwrite.storage.moving.source import SourceTable
from afterwrite.storage.postgres.address import Address
from afterwrite.storage.postgres.connect import connect
from afterwrite.storage.postgres.copying import IS_MADE, LOCK, require_not_half_copied
from afterwrite.storage.postgres.migrations import bring_up_to_date

Connection = psycopg.Connection[Any]
TOTALS = "ledger_totals"  # its rows are there from the start: they are set, not copied
_OTHERS = ("meta", "secrets", "journal_accepted", "journal_settled")  # what else a copy changes
_ALIVE_US = 10_000_000
_STALLED_MILLISECONDS = "600000"
# Limits for the requests of servers would end this long transaction; a forgotten one of others must not hold it up.
_LIMITS = (
    "SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN '60s' ELSE '0' END, true) FROM pg_settings WHERE name "
    "IN ('lock_timeout', 'statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')"
)
_META = f"SELECT name, value FROM {SCHEMA}.meta"  # noqa: S608 - constants
_ALIVE = (
    f"SELECT role, host, pid FROM {SCHEMA}.processes "  # noqa: S608 - constants
    f"WHERE beat_at_us > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - {_ALIVE_US} LIMIT 1"
)
# The indexes without which the rows could be there too.
_SECONDARY = """
SELECT own.relname, pg_get_indexdef(own.oid)
FROM pg_index AS i JOIN pg_class AS own ON own.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid
WHERE t.relnamespace = %s::regnamespace AND t.relname = ANY(%s)
    AND NOT EXISTS (SELECT 1 FROM pg_constraint AS c WHERE c.conindid = own.oid)
ORDER BY t.relname, own.relname
"""


@contextmanager
def open_target(address: Address) -> Iterator[Connection]:
    """The transaction of a copy: committed when the block ends, rolled back when it raises or is killed.

    One at a time: waits a minute for another copy, or for what a killed one has begun, to end. Raises StoreError with
    one line that says what to do.
    """
    # A busy disk may stop the stream of rows for longer than the ten seconds after which requests give up.
    patient = Address(address.url.update_query_dict({"tcp_user_timeout": _STALLED_MILLISECONDS}))
    try:
        with connect(patient, prepared=False) as connection:
            # Each statement sees what was committed before it, such as by a process that was there before the locks.
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            with connection.transaction():
                connection.execute(_LIMITS)
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
                yield connection
    except psycopg.Error as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise StoreError(
            f"PostgreSQL at {address} did not go on: {said}. An unfinished copy leaves nothing there: mend that, and "
            "run this again"
        ) from error


def claim(
    connection: Connection,
    address: Address,
    resources: Mapping[str, CompiledResource],
    tables: Sequence[str],
    names: Mapping[str, str],
) -> bool:
    """Lock the database, whose tables are empty and have the newest schema then; False: the same copy is there already.

    ``names``: the name of the ``catalogue``, and what stands for all that is to be ``copied``. Raises StoreError, and
    then nothing was changed: something else is in the database, or processes work on it.
    """
    if connection.execute(IS_MADE).fetchone() != (True,):
        bring_up_to_date(connection, address, resources)
    require_not_half_copied(connection, address)
    known = dict(connection.execute(_META).fetchall())
    if known["catalogue"] == names["catalogue"]:
        if known.get("copied") == names["copied"]:
            return False
        raise StoreError(
            f"This catalogue was copied into {address} before, and the files in DATA_DIR have changed since: that is "
            "not in PostgreSQL. Start the server with DATABASE_URL set and do without it, or set DATABASE_URL to an "
            "empty database to copy everything there"
        )
    _require_unused(connection, address, tables)  # first without locks: a server that is refused is not held up
    known_tables = [table for table in tables if _is_there(connection, table)]
    connection.execute(f"LOCK TABLE {named([*_OTHERS, *known_tables])} IN ACCESS EXCLUSIVE MODE".encode())
    _require_unused(connection, address, tables)  # again: nothing that was committed meanwhile may be lost
    bring_up_to_date(connection, address, resources)
    return True


def _require_unused(connection: Connection, address: Address, tables: Sequence[str]) -> None:
    for table in tables:
        if not _is_there(connection, table):  # its resource is new to the database
            continue
        which = "WHERE writes > 0" if table == TOTALS else ""
        if connection.execute(f"SELECT FROM {named([table])} {which} LIMIT 1".encode()).fetchone() is not None:
            raise StoreError(
                f"The database {address} is in use already: there are rows in its table {table}. Nothing was changed; "
                "set DATABASE_URL to an empty database"
            )
    require_alone(connection, address)


def _is_there(connection: Connection, table: str) -> bool:
    return connection.execute("SELECT to_regclass(%s)", (named([table]),)).fetchone() != (None,)


def require_alone(connection: Connection, address: Address) -> None:
    """Raise StoreError where a process works on the database."""
    if alive := connection.execute(_ALIVE).fetchone():
        role, host, pid = alive
        raise StoreError(
            f"A process works on the database {address} (a {role}, pid {pid} on {host}): stop it, and run this again"
        )


def drop_indexes(connection: Connection, tables: list[str]) -> dict[str, str]:
    """Drop the secondary indexes of empty tables; returns by their names the statements that build them again.

    To build one at the end takes less time, and leaves it smaller. What is copied goes into new files (TRUNCATE),
    which a rollback removes.
    """
    connection.execute(f"TRUNCATE {named(tables)} CASCADE".encode())
    connection.execute("SET LOCAL search_path = pg_catalog")  # so that definitions name all in full
    indexes = dict(connection.execute(_SECONDARY, (SCHEMA, tables)).fetchall())
    for name in indexes:
        connection.execute(f'DROP INDEX {SCHEMA}."{name}"'.encode())
    return indexes


def copy(connection: Connection, table: SourceTable, report: Report) -> None:
    """Copy every row; ``report`` is called with how many more were sent."""
    statement = f"COPY {named([table.name])} ({_listed(table)}) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copying:
        for chunk in chunks(table.rows()):
            for row in chunk:
                copying.write_row(row)
            report(len(chunk))


def rows(connection: Connection, table: SourceTable) -> Iterator[Row]:
    """Every row of the table as it is there, in the order of their keys."""
    selected = f"SELECT {_listed(table)} FROM {named([table.name])}"  # noqa: S608 - our own names
    with connection.cursor() as cursor:
        cursor.execute(f"{selected} LIMIT 0".encode())
        types = [column.type_code for column in cursor.description or ()]
        with cursor.copy(f"COPY ({selected} ORDER BY {table.columns[0]}) TO STDOUT".encode()) as copying:
            copying.set_types(types)
            yield from copying.rows()


def named(tables: Sequence[str]) -> str:
    return ", ".join(f"{SCHEMA}.{table}" for table in tables)


def _listed(table: SourceTable) -> str:
    return ", ".join(f'"{column}"' for column in table.columns)
