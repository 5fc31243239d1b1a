"""Keeps a database that an embedded installation is being copied into from being used before all of it is there."""

from typing import Any

import psycopg

from afterwrite.base.store_errors import StoreError
from afterwrite.storage.driver import SCHEMA
from afterwrite.storage.postgres.address import Address

COPYING = "copying"  # the name, in the table meta, that is there as long as a copy is not complete
_IS_COPYING = f"SELECT EXISTS (SELECT 1 FROM {SCHEMA}.meta WHERE name = '{COPYING}')"  # noqa: S608 - constants


def require_no_copy(connection: "psycopg.Connection[Any]", address: Address) -> None:
    """Raise StoreError where a copy into the database was begun and is not complete; its schema is there."""
    row = connection.execute(_IS_COPYING).fetchone()
    if row and row[0]:
        raise StoreError(
            f"An embedded catalogue is being copied into {address}, and not all of it is there yet: finish that with "
            "`python3 dev.py migrate-to-postgres`, with the DATA_DIR that it was begun with"
        )
