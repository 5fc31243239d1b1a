"""Bulk insert of products into PostgreSQL in one transaction."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.resources.product import search_text
from afterwrite.storage.catalogue_load import STORED, StoredValues
from afterwrite.storage.driver import SCHEMA
from afterwrite.storage.postgres.address import address_of
from afterwrite.storage.postgres.connect import connect, explained
from afterwrite.storage.postgres.copying import require_no_copy
from afterwrite.storage.postgres.migrations import bring_up_to_date

_COLUMNS = f"id, {', '.join(STORED)}, created_at_us, updated_at_us, version, search_text"
_COPY = f"COPY {SCHEMA}.products ({_COLUMNS}) FROM STDIN"
_IDS = f"SELECT nextval('{SCHEMA}.product_ids') FROM generate_series(1, %s)"  # noqa: S608 - constants
_ANY = f"SELECT EXISTS (SELECT 1 FROM {SCHEMA}.products)"  # noqa: S608 - constants
_ALONE = f"LOCK TABLE {SCHEMA}.meta IN SHARE ROW EXCLUSIVE MODE"  # one load at a time; the next one sees its products


class PostgresLoader:
    """A catalogue in PostgreSQL; see ``CatalogueLoader``."""

    def __init__(self, settings: Settings) -> None:
        """Raises StoreError or SettingsError."""
        self._address = address_of(settings)
        self._connection = connect(self._address, prepared=False)
        try:
            require_no_copy(self._connection, self._address)
            bring_up_to_date(self._connection, self._address)
            self._connection.execute("BEGIN")
            require_no_copy(self._connection, self._address)  # before the lock, for which it would wait for a copy
            self._connection.execute(_ALONE)
        except StoreError:
            self._connection.close()
            raise
        except psycopg.Error as error:
            self._connection.close()
            raise self._unusable(error) from error

    def holds_products(self) -> bool:
        """Whether there is any product."""
        try:
            row = self._connection.execute(_ANY).fetchone()
        except psycopg.Error as error:
            raise self._unusable(error) from error
        return bool(row and row[0])

    @contextmanager
    def load(self) -> Iterator["PostgresLoad"]:
        """COPY products in; ids come from the sequence, so concurrent creates get other ids."""
        try:
            yield PostgresLoad(self._connection)
            self._connection.commit()
            self._connection.execute(f"ANALYZE {SCHEMA}.products")
        except psycopg.Error as error:
            raise self._unusable(error) from error
        finally:
            if not self._connection.closed:
                self._connection.rollback()

    def index(self) -> None:
        """Nothing to do: PostgreSQL indexes every row."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _unusable(self, error: psycopg.Error) -> StoreError:
        explanation = explained(f"PostgreSQL at {self._address} cannot be written", error)
        return explanation if isinstance(explanation, StoreError) else StoreError(str(error))


class PostgresLoad:
    """A running load; ``inserted`` counts its products."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self.inserted = 0
        self._connection = connection

    def insert(self, products: Sequence[StoredValues]) -> None:
        """Copy products given as ``stored_values``, in order; best about a thousand at a time."""
        now_us = time.time_ns() // 1_000
        ids = [row[0] for row in self._connection.execute(_IDS, (len(products),))]
        with self._connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for product_id, values in zip(ids, products, strict=True):
                text = search_text(values[0], values[2], values[3])
                copy.write_row((product_id, *values, now_us, now_us, 1, text))
        self.inserted += len(products)
