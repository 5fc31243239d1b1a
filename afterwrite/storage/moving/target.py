"""Takes an embedded installation into PostgreSQL: claims the database for it, copies its tables, completes the copy.

What is claimed has the source's name in ``meta`` as ``catalogue``, and its plan (what is to be there at the end) as
``copying``. Every step is a transaction that locks that row and finds its own plan in it: so two copies never mix, and
whatever a killed one has begun is over before the next one goes on. When all is checked ``copied`` takes the place of
``copying``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import psycopg

from afterwrite.base.store_errors import StoreError
from afterwrite.storage.driver import SCHEMA
from afterwrite.storage.moving.finishing import carry_over
from afterwrite.storage.moving.rows import Row, Summary, Told, chunks
from afterwrite.storage.moving.source import SourceTable
from afterwrite.storage.postgres.address import Address
from afterwrite.storage.postgres.connect import connect
from afterwrite.storage.postgres.copying import COPYING
from afterwrite.storage.postgres.meta import KEEP
from afterwrite.storage.postgres.migrations import migrate

TOTALS = "ledger_totals"  # its rows are there from the start: they are set, not copied
_COPIED, _INDEXES = "copied", "copying_indexes"
_ALIVE_US = 10_000_000
_IS_MADE = f"SELECT to_regclass('{SCHEMA}.meta') IS NOT NULL"
_META = f"SELECT name, value FROM {SCHEMA}.meta"  # noqa: S608 - constants
_PATIENCE = "SET LOCAL lock_timeout = '60s'"  # a forgotten transaction would hold this up without a word
_LOCK = f"LOCK TABLE {SCHEMA}.meta IN SHARE ROW EXCLUSIVE MODE"
_UNSET = f"DELETE FROM {SCHEMA}.meta WHERE name = ANY(%s)"  # noqa: S608 - constants
_OURS = f"SELECT value FROM {SCHEMA}.meta WHERE name = '{COPYING}' FOR UPDATE"  # noqa: S608 - constants
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


class Begun(Enum):
    """How a copy begins: in an empty database, where an earlier one ended, from the start again, or not at all."""

    FRESH = "fresh"
    GOES_ON = "goes on"
    ANEW = "anew"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be in the database at the end: the names of catalogue and task store, and every table summed up."""

    catalogue: str
    store: str
    tables: Mapping[str, Summary]

    @property
    def text(self) -> str:
        """The same text for the same plan."""
        return json.dumps(asdict(self), sort_keys=True)


class PostgresTarget:
    """The database that is copied into. Everything raises StoreError with one line that says what to do."""

    def __init__(self, address: Address, plan: Plan) -> None:
        self._address, self._plan = address, plan
        self._connection = connect(address, prepared=False)

    def close(self) -> None:
        """Close the connection; what is under way is undone."""
        self._connection.close()

    # -- claim ----------------------------------------------------------------------------------------------

    def claim(self) -> Begun:
        """Bring the schema up to date, and keep the database for this copy alone.

        Where the source has changed since the copy was begun it begins anew. Raises StoreError, and then nothing was
        changed: something else is in the database, or processes work on it.
        """
        with self._explained():
            [is_made] = self._one(_IS_MADE)
            # What is refused is refused before its schema changes.
            if is_made and self._standing() is Begun.COMPLETE:
                return Begun.COMPLETE
            migrate(self._address)
            with self._connection.transaction():
                self._connection.execute(_PATIENCE)
                self._connection.execute(_LOCK)
                begun = self._standing()
                self._connection.execute(_OURS)  # what a killed copy has begun is over then
                if begun in (Begun.FRESH, Begun.ANEW):
                    self._begin(begun)
        return begun

    def _standing(self) -> Begun:
        known = self._known()
        same = known.get("catalogue") == self._plan.catalogue
        if COPYING in known and not same:
            raise StoreError(
                f"Another catalogue ({known.get('catalogue')}) is being copied into {self._address} than this one "
                f"({self._plan.catalogue}): run this with its DATA_DIR, or set DATABASE_URL to another database"
            )
        if COPYING not in known and same:
            return self._complete(known)
        if not same:
            self._require_empty()
        self._require_alone()
        if not same:
            return Begun.FRESH
        return Begun.GOES_ON if known[COPYING] == self._plan.text else Begun.ANEW

    def _complete(self, known: Mapping[str, str]) -> Begun:
        if known.get(_COPIED) == self._plan.text:
            return Begun.COMPLETE
        raise StoreError(
            f"This catalogue was copied into {self._address} before, and the files in DATA_DIR have changed since: "
            "that is not in PostgreSQL. Start the server with DATABASE_URL set and do without it, or set DATABASE_URL "
            "to an empty database to copy everything there"
        )

    def _require_empty(self) -> None:
        for table in self._plan.tables:
            which = "writes > 0" if table == TOTALS else "true"
            [is_used] = self._one(f"SELECT EXISTS (SELECT 1 FROM {SCHEMA}.{table} WHERE {which})")  # noqa: S608
            if is_used:
                raise StoreError(
                    f"The database {self._address} is in use already: there are rows in its table {table}. Nothing "
                    "was changed; set DATABASE_URL to an empty database"
                )

    def _require_alone(self) -> None:
        if alive := self._connection.execute(_ALIVE).fetchone():
            role, host, pid = alive
            raise StoreError(
                f"A process works on the database {self._address} (a {role}, pid {pid} on {host}): stop it, and run "
                "this again"
            )

    def _begin(self, begun: Begun) -> None:
        """Empty the tables, and drop their indexes: to build one at the end takes less time, and leaves it smaller."""
        tables = [name for name in self._plan.tables if name != TOTALS]
        names = ", ".join(f"{SCHEMA}.{name}" for name in tables)
        self._connection.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE".encode())
        if begun is Begun.FRESH:
            self._require_empty()  # again: nothing that was committed meanwhile may be lost
        self._connection.execute(f"TRUNCATE {names} CASCADE".encode())
        self._connection.execute("SET LOCAL search_path = pg_catalog")  # so that definitions name all in full
        indexes = dict(self._connection.execute(_SECONDARY, (SCHEMA, tables)).fetchall())
        for name in indexes:
            self._connection.execute(f'DROP INDEX {SCHEMA}."{name}"'.encode())
        self._set(_INDEXES, json.dumps(self._dropped() | indexes))
        self._set("catalogue", self._plan.catalogue)
        self._set(COPYING, self._plan.text)

    # -- copy -----------------------------------------------------------------------------------------------

    def present(self, table: SourceTable) -> int:
        """How many rows of the table are there already."""
        with self._explained():
            [rows] = self._one(f"SELECT count(*) FROM {SCHEMA}.{table.name}")  # noqa: S608 - our own names
        return int(rows)

    def copy(self, table: SourceTable, told: Told) -> None:
        """Copy the rows that are not there yet, in the order of their keys, some thousand in a transaction.

        ``told`` is called with how many more are there.
        """
        with self._explained():
            self._require_alone()
            [last] = self._one(_last(table))
            for rows in chunks(table.rows_after(last)):
                self._copy_chunk(table, last, rows)
                last = rows[-1][0]
                told(len(rows))

    def _copy_chunk(self, table: SourceTable, last: Any, rows: Sequence[Row]) -> None:
        with self._step():
            if self._one(_last(table)) != (last,):
                raise StoreError(
                    f"Something else has written into the table {table.name} of {self._address}: stop it, and run "
                    "this again"
                )
            statement = f"COPY {SCHEMA}.{table.name} ({_listed(table)}) FROM STDIN"
            with self._connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
                for row in rows:
                    copy.write_row(row)

    def rows(self, table: SourceTable) -> Iterator[Row]:
        """Every row of the table as it is there, in the order of their keys."""
        selected = f"SELECT {_listed(table)} FROM {SCHEMA}.{table.name}"  # noqa: S608 - our own names
        ordered = f"COPY ({selected} ORDER BY {table.columns[0]}) TO STDOUT"
        with self._explained(), self._connection.cursor() as cursor:
            cursor.execute(f"{selected} LIMIT 0".encode())
            types = [column.type_code for column in cursor.description or ()]
            with cursor.copy(ordered.encode()) as copy:
                copy.set_types(types)
                yield from copy.rows()

    # -- complete -------------------------------------------------------------------------------------------

    def indexes(self) -> list[str]:
        """The names of the indexes that are to be built."""
        with self._explained():
            return list(self._dropped())

    def build(self, index: str) -> None:
        """Build an index, if it is not there."""
        with self._step():
            kind, _, rest = self._dropped()[index].partition("INDEX ")
            self._connection.execute(f"{kind}INDEX IF NOT EXISTS {rest}".encode())

    def carry_over(self, secrets: Mapping[str, str], totals: Sequence[Row]) -> None:
        """Set what follows from the rows, the names and the secrets; may be done twice."""
        with self._step():
            carry_over(self._connection, self._plan.store, secrets, totals)

    def analyze(self, table: SourceTable) -> None:
        """Let the planner know the table."""
        with self._explained():
            self._connection.execute(f"ANALYZE {SCHEMA}.{table.name}".encode())

    def complete(self) -> None:
        """Say that all of it is there: servers and workers may start."""
        with self._step():
            self._require_alone()
            self._set(_COPIED, self._plan.text)
            self._connection.execute(_UNSET, ([COPYING, _INDEXES],))

    def begin_anew_next_time(self) -> None:
        """Let the next copy begin from the start: what is there is wrong."""
        with self._step():
            self._set(COPYING, "")

    # -- the connection -------------------------------------------------------------------------------------

    @contextmanager
    def _step(self) -> Iterator[None]:
        """A transaction in which the database is this copy's."""
        with self._explained(), self._connection.transaction():
            if self._connection.execute(_OURS).fetchone() != (self._plan.text,):
                raise StoreError(
                    f"The copy into {self._address} was completed or begun anew by another process: run this again "
                    "when that one has ended"
                )
            yield

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            said = " ".join(str(error).split())[:300] or type(error).__name__
            raise StoreError(
                f"PostgreSQL at {self._address} did not go on: {said}. What was copied is kept: mend that, and run "
                "this again"
            ) from error

    def _known(self) -> dict[str, str]:
        return dict(self._connection.execute(_META).fetchall())

    def _dropped(self) -> dict[str, str]:
        dropped: dict[str, str] = json.loads(self._known().get(_INDEXES, "{}"))
        return dropped

    def _set(self, name: str, value: str) -> None:
        self._connection.execute(KEEP, (name, value))

    def _one(self, statement: str) -> Row:
        row = self._connection.execute(statement.encode()).fetchone()
        assert row is not None
        return tuple(row)


def _last(table: SourceTable) -> str:
    return f"SELECT max({table.columns[0]}) FROM {SCHEMA}.{table.name}"  # noqa: S608 - our own names


def _listed(table: SourceTable) -> str:
    return ", ".join(f'"{column}"' for column in table.columns)
