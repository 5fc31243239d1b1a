"""The mark of an incomplete copy from an embedded installation, which keeps the database from being used."""

from typing import Any

import psycopg

from afterwrite.base.store_errors import StoreError
from afterwrite.storage.driver import SCHEMA
from afterwrite.storage.postgres.address import Address

COPYING = "copying"  # the name in the table meta while a copy is incomplete
_IS_COPYING = f"SELECT EXISTS (SELECT 1 FROM {SCHEMA}.meta WHERE name = '{COPYING}')"  # noqa: S608 - constants


def require_no_copy(connection: "psycopg.Connection[Any]", address: Address) -> None:
    """Raise StoreError if a copy into the database is incomplete; the schema must exist."""
    row = connection.execute(_IS_COPYING).fetchone()
    if row and row[0]:
        raise StoreError(
            f"An embedded catalogue is being copied into {address}, and not all of it is there yet: finish that with "
            "`python3 dev.py migrate-to-postgres`, with the DATA_DIR that it was begun with"
        )
