"""Sets what follows from the rows of a copied installation: what waits in the journal, and where ids go on."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from afterwrite.base.time_ordered import first_id_of
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.write import ROW_OVERHEAD_BYTES
from afterwrite.storage.driver import SCHEMA
from afterwrite.storage.moving.rows import Row
from afterwrite.storage.postgres.meta import KEEP
from afterwrite.storage.tables import id_sequence

_LAST_WRITE = """
SELECT greatest(
    (SELECT coalesce(max(id), 0) FROM afterwrite.ledger), (SELECT coalesce(max(id), 0) FROM afterwrite.writes))
"""
_ACCEPTED = f"""
UPDATE afterwrite.journal_accepted SET (writes, size_bytes, last_write_id) = (
    SELECT count(*), coalesce(sum(octet_length(arguments)), 0) + count(*) * {ROW_OVERHEAD_BYTES}, ({_LAST_WRITE})
    FROM afterwrite.writes)
"""  # noqa: S608 - constants
# Every write below the oldest one that waits is settled.
_SETTLED = f"""
UPDATE afterwrite.journal_settled SET writes = 0, size_bytes = 0, drainer = NULL, until_us = 0, sleeps = true,
    through = coalesce((SELECT min(id) - 1 FROM afterwrite.writes), ({_LAST_WRITE}))
"""  # noqa: S608 - constants
# As ``EmbeddedWrites`` reckons: a client may name any number in an update that fails, which gives out no id.
_LAST_RECORD = """
SELECT greatest(
    (SELECT max(id) FROM {table}),
    (SELECT max(record_id) FROM afterwrite.ledger
        WHERE resource = '{resource}' AND (operation IN ('CREATE', 'UPSERT') OR status = 'APPLIED')),
    (SELECT max(record_id) FROM afterwrite.writes WHERE resource = '{resource}'
        AND operation IN ('CREATE', 'UPSERT')), 0)
"""
_LAST_TASK = "SELECT coalesce(max(id), 0) FROM afterwrite.tasks"
_LAST_ACTION = "SELECT coalesce(max(id), 0) FROM afterwrite.task_actions"
_RECEIVED = (
    "SELECT pg_get_serial_sequence('afterwrite.received_webhooks', 'id'), coalesce(max(id), 0) "
    "FROM afterwrite.received_webhooks"
)
_TOTAL = "UPDATE afterwrite.ledger_totals SET writes = %s WHERE status = %s"
_SIGNS_WITH = (
    "INSERT INTO afterwrite.secrets (name, value) VALUES (%s, %s) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)

Connection = psycopg.Connection[Any]


def carry_over(
    connection: Connection,
    resources: Mapping[str, CompiledResource],
    names: Mapping[str, str],
    secrets: Mapping[str, str],
    totals: Sequence[Row],
) -> None:
    """Do so in the transaction that is open.

    ``names`` are those in ``meta``; the one of the task store is what idempotency keys for others begin with: Stripe
    must get the same ones as before. ``totals`` are the rows of ``ledger_totals``.
    """
    for name, value in names.items():
        connection.execute(KEEP, (name, value))
    for name, value in secrets.items():
        connection.execute(_SIGNS_WITH, (name, value))
    for status, writes in totals:
        connection.execute(_TOTAL, (writes, status))
    connection.execute(_ACCEPTED.encode())
    connection.execute(_SETTLED.encode())
    for name, resource in resources.items():
        last = _LAST_RECORD.format(table=f"{SCHEMA}.{resource.table}", resource=name)
        _go_on(connection, id_sequence(resource.table), *_found(connection, last))
    # Ids of an embedded installation grow with time: one above this moment was never given, nor to a row since deleted.
    now = first_id_of(time.time_ns() // 1000)
    _go_on(connection, "afterwrite.write_ids", now, *_found(connection, _LAST_WRITE))
    _go_on(connection, "afterwrite.task_ids", now, *_found(connection, _LAST_TASK))
    _go_on(connection, "afterwrite.task_action_ids", now, *_found(connection, _LAST_ACTION))
    _go_on(connection, *_found(connection, _RECEIVED))


def _go_on(connection: Connection, sequence: str, *given: int) -> None:
    """Let a sequence give ids above those that were given."""
    # Unlike setval() this is undone when the transaction is.
    connection.execute(f"ALTER SEQUENCE {sequence} RESTART WITH {max(given) + 1}".encode())


def _found(connection: Connection, statement: str) -> Row:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return tuple(row)
