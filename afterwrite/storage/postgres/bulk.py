"""Bulk insert of records into PostgreSQL in one transaction."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage.catalogue_load import StoredValues, dangling_problem
from afterwrite.storage.driver import SCHEMA
from afterwrite.storage.postgres.address import address_of
from afterwrite.storage.postgres.connect import connect, explained
from afterwrite.storage.postgres.copying import require_no_copy
from afterwrite.storage.postgres.drain import LOCK as DRAIN_LOCK
from afterwrite.storage.postgres.migrations import bring_up_to_date
from afterwrite.storage.tables import dangling, id_sequence

_IDS = "SELECT nextval(%s::regclass) FROM generate_series(1, %s)"
_ALONE = f"LOCK TABLE {SCHEMA}.meta IN SHARE ROW EXCLUSIVE MODE"  # one load at a time; the next one sees its records


class PostgresLoader:
    """A catalogue in PostgreSQL; see ``CatalogueLoader``."""

    def __init__(
        self, settings: Settings, resources: Mapping[str, CompiledResource], resource: CompiledResource
    ) -> None:
        """Raises StoreError or SettingsError."""
        self._resource, self._resources, self._table = resource, resources, f"{SCHEMA}.{resource.table}"
        self._address = address_of(settings)
        self._connection = connect(self._address, prepared=False)
        try:
            require_no_copy(self._connection, self._address)
            bring_up_to_date(self._connection, self._address, resources)
            self._connection.execute("BEGIN")
            require_no_copy(self._connection, self._address)  # before the lock, for which it would wait for a copy
            self._connection.execute(_ALONE)
        except StoreError:
            self._connection.close()
            raise
        except psycopg.Error as error:
            self._connection.close()
            raise self._unusable(error) from error

    def holds_records(self) -> bool:
        """Whether there is any record."""
        try:
            row = self._connection.execute(f"SELECT EXISTS (SELECT 1 FROM {self._table})".encode()).fetchone()  # noqa: S608
        except psycopg.Error as error:
            raise self._unusable(error) from error
        return bool(row and row[0])

    @contextmanager
    def load(self) -> Iterator["PostgresLoad"]:
        """COPY records in; ids come from the sequence, so concurrent creates get other ids."""
        try:
            yield PostgresLoad(self._connection, self._resource)
            if self._resource.references:
                # From here on no process deletes a record; those before this are seen.
                self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (DRAIN_LOCK,))
                self._require_targets()
            self._connection.commit()
            self._connection.execute(f"ANALYZE {self._table}".encode())
        except psycopg.Error as error:
            raise self._unusable(error) from error
        finally:
            if not self._connection.closed:
                self._connection.rollback()

    def _require_targets(self) -> None:
        for one in self._resource.references:
            condition = dangling(self._table, one.column, f"{SCHEMA}.{self._resources[one.target].table}")
            counting = f"SELECT count(*), max({one.column}) FROM {self._table} WHERE {condition}"  # noqa: S608
            rows, such_as = self._connection.execute(counting.encode()).fetchone() or (0, 0)
            if rows:
                raise dangling_problem(self._resource, one, rows, such_as)

    def index(self) -> None:
        """Nothing to do: PostgreSQL indexes every row."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _unusable(self, error: psycopg.Error) -> StoreError:
        explanation = explained(f"PostgreSQL at {self._address} cannot be written", error)
        return explanation if isinstance(explanation, StoreError) else StoreError(str(error))


class PostgresLoad:
    """A running load; ``inserted`` counts its records."""

    def __init__(self, connection: "psycopg.Connection[Any]", resource: CompiledResource) -> None:
        self.inserted = 0
        self._connection, self._resource = connection, resource
        columns = ", ".join(f'"{name}"' for name in (*resource.columns, "search_text"))
        self._copy = f"COPY {SCHEMA}.{resource.table} ({columns}) FROM STDIN".encode()

    def insert(self, records: Sequence[StoredValues]) -> None:
        """Copy records given as ``stored_values``, in order; best about a thousand at a time."""
        now_us, texts = time.time_ns() // 1_000, self._resource.search_texts(records)
        given = self._connection.execute(_IDS, (id_sequence(self._resource.table), len(records)))
        ids = [row[0] for row in given]
        with self._connection.cursor() as cursor, cursor.copy(self._copy) as copy:
            for record_id, values, text in zip(ids, records, texts, strict=True):
                copy.write_row((record_id, *values, now_us, now_us, 1, text))
        self.inserted += len(records)
