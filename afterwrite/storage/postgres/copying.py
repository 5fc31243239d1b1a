"""The mark of an incomplete copy from an embedded installation, which keeps the database from being used."""

from typing import Any

import psycopg

from afterwrite.base.own_command import own_command
from afterwrite.base.store_errors import StoreError
from afterwrite.storage.driver import SCHEMA
from afterwrite.storage.postgres.address import Address

LOCK = 5_318_008_461_907_226  # any number: a copy holds the advisory lock of this one until it commits
_NO_COPY = "SELECT pg_try_advisory_xact_lock_shared(%s)"
IS_MADE = f"SELECT to_regclass('{SCHEMA}.meta') IS NOT NULL"
# A copy by an older version took many transactions, with this name in the table as long as it was not complete.
_IS_HALF_COPIED = f"SELECT EXISTS (SELECT 1 FROM {SCHEMA}.meta WHERE name = 'copying')"  # noqa: S608 - constants


def require_no_copy(connection: "psycopg.Connection[Any]", address: Address) -> None:
    """Raise StoreError where a copy into the database is under way or was left incomplete; before its schema changes.

    In a transaction: no copy begins before that has ended.
    """
    if connection.execute(_NO_COPY, (LOCK,)).fetchone() != (True,):
        raise StoreError(
            f"An embedded catalogue is being copied into {address}, and not all of it is there yet: try again when "
            f"`{own_command('migrate-to-postgres')}` has ended"
        )
    require_not_half_copied(connection, address)


def require_not_half_copied(connection: "psycopg.Connection[Any]", address: Address) -> None:
    """Raise StoreError where an older version was interrupted while it copied."""
    if connection.execute(IS_MADE).fetchone() != (True,):
        return
    if connection.execute(_IS_HALF_COPIED).fetchone() == (True,):
        raise StoreError(
            f"An older version began to copy an embedded catalogue into {address}, and not all of it is there yet: "
            f"remove that with DROP SCHEMA {SCHEMA} CASCADE, and run `{own_command('migrate-to-postgres')}` again"
        )
