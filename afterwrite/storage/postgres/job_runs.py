"""The state of Airflow runs for jobs: task, parts, products and outcome.

Uses psycopg directly, and SQLAlchemy only to parse the address: the DAG runs this in Airflow's environment, which has
its own SQLAlchemy.
"""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from afterwrite.base.store_errors import StoreUnavailable
from afterwrite.storage.postgres.address import Address

if TYPE_CHECKING:
    from sqlalchemy import Engine

Json = dict[str, Any]
TASK_ENDED = "TASK_ENDED"
"""The error of a run that did nothing because its task had ended."""

_TAKE = """
INSERT INTO afterwrite.process_runs (run_id, task_id) VALUES (%s, %s)
ON CONFLICT (run_id) DO UPDATE SET run_id = excluded.run_id RETURNING task_id
"""
_PAYLOAD = """
SELECT t.payload_json, t.status FROM afterwrite.process_runs AS r JOIN afterwrite.tasks AS t ON t.id = r.task_id
WHERE r.run_id = %s
"""
_SET_VERDICT = "UPDATE afterwrite.process_runs SET verdict_json = %s WHERE run_id = %s"
_VERDICT = "SELECT verdict_json FROM afterwrite.process_runs WHERE run_id = %s"
_ADD_PART = "INSERT INTO afterwrite.process_parts (run_id, first_index, items_json) VALUES (%s, %s, %s)"
_PART = "SELECT items_json FROM afterwrite.process_parts WHERE run_id = %s AND first_index = %s"
_DESCRIBE_PART = "UPDATE afterwrite.process_parts SET descriptions_json = %s WHERE run_id = %s AND first_index = %s"
_PARTS = "SELECT first_index, descriptions_json FROM afterwrite.process_parts WHERE run_id = %s ORDER BY first_index"
_DROP_PARTS = "DELETE FROM afterwrite.process_parts WHERE run_id = %s"
_DROP_PRODUCTS = "DELETE FROM afterwrite.processed_products WHERE run_id = %s"
_ADD_PRODUCTS = """
INSERT INTO afterwrite.processed_products (run_id, index, product)
SELECT %s, (one ->> 'index')::bigint, one FROM jsonb_array_elements(%s::jsonb) AS given (one)
"""
# The first outcome wins: a retried Airflow task cannot change a published one.
_END = """
UPDATE afterwrite.process_runs SET report_json = %s, error_code = %s, error_message = %s, ended_at = now()
WHERE run_id = %s AND ended_at IS NULL
"""
_OUTCOMES = """
SELECT run_id, report_json, error_code, error_message FROM afterwrite.process_runs
WHERE run_id = ANY(%s) AND ended_at IS NOT NULL
"""
_OF_TASK = "SELECT run_id FROM afterwrite.process_runs WHERE task_id = %s ORDER BY asked_at"


def run_ids_of(reader: "Engine", task_id: int) -> list[str]:
    """The runs requested for a task, oldest first. Raises StoreError."""
    with reader.connect() as connection:
        return [run_id for (run_id,) in connection.exec_driver_sql(_OF_TASK, (task_id,))]


class NoSuchRun(Exception):
    """The run is unknown, its task was deleted, or the requested part is missing."""


class RunOutcome(NamedTuple):
    """The outcome of a run: a JSON report or an error."""

    report_json: str | None
    error_code: str | None
    error_message: str | None


class JobRuns:
    """The runs in one database, over one connection that reconnects; thread-safe.

    Everything raises StoreUnavailable while the database cannot be used.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: psycopg.Connection[Any] | None = None
        self._lock = threading.Lock()

    def take(self, run_id: str, task_id: int) -> bool:
        """Register a run id for a task; False if it belongs to another task."""
        with self._working() as connection:
            row = connection.execute(_TAKE, (run_id, task_id)).fetchone()
            return row is not None and row[0] == task_id

    def payload(self, run_id: str) -> tuple[Any, str]:
        """The payload of the run and the status of its task. Raises NoSuchRun."""
        with self._working() as connection:
            row = connection.execute(_PAYLOAD, (run_id,)).fetchone()
        if row is None:
            raise NoSuchRun(f"There is no run {run_id}: its task was deleted, or it was never requested")
        return json.loads(row[0]), row[1]

    def begin(self, run_id: str, verdict: Mapping[str, Any], parts: Mapping[int, Sequence[Any]]) -> None:
        """Store the verdict (refused products) and the parts by first index, in one transaction."""
        rows = [(run_id, first_index, json.dumps(items)) for first_index, items in parts.items()]
        with self._working() as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.execute(_SET_VERDICT, (json.dumps(verdict), run_id))
            cursor.execute(_DROP_PARTS, (run_id,))
            cursor.executemany(_ADD_PART, rows)

    def part(self, run_id: str, first_index: int) -> list[Any]:
        """The products of a part. Raises NoSuchRun."""
        with self._working() as connection:
            row = connection.execute(_PART, (run_id, first_index)).fetchone()
        if row is None:
            raise NoSuchRun(
                f"The run {run_id} has no part from product {first_index} on: its task was deleted meanwhile"
            )
        return list(json.loads(row[0]))

    def verdict(self, run_id: str) -> Json:
        """The verdict that ``begin`` stored. Raises NoSuchRun."""
        with self._working() as connection:
            row = connection.execute(_VERDICT, (run_id,)).fetchone()
        if row is None or row[0] is None:
            raise NoSuchRun(f"The run {run_id} has no verdict: its task was deleted meanwhile")
        return dict(json.loads(row[0]))

    def describe_part(self, run_id: str, first_index: int, descriptions: Sequence[Json]) -> None:
        """Store the descriptions of the products of a part; replaces earlier ones."""
        with self._working() as connection:
            connection.execute(_DESCRIBE_PART, (json.dumps(descriptions), run_id, first_index))

    def descriptions(self, run_id: str) -> list[Json]:
        """The descriptions of all parts, in payload order. Raises NoSuchRun."""
        with self._working() as connection:
            rows = connection.execute(_PARTS, (run_id,)).fetchall()
        if missing := [first for first, text in rows if text is None]:
            raise NoSuchRun(
                f"The part of the run {run_id} from product {missing[0]} on is not described: do that again"
            )
        return [one for _, text in rows for one in json.loads(text)]

    def end(self, run_id: str, report: Mapping[str, Any], products: Sequence[Json]) -> None:
        """Store the products and the report in one transaction; an existing outcome stays."""
        with self._working() as connection, connection.transaction():
            ended = connection.execute(_END, (json.dumps(report), None, None, run_id))
            if ended.rowcount:
                connection.execute(_DROP_PRODUCTS, (run_id,))
                connection.execute(_ADD_PRODUCTS, (run_id, json.dumps(products)))
                connection.execute(_DROP_PARTS, (run_id,))

    def fail(self, run_id: str, code: str, message: str) -> None:
        """Store the error; an existing outcome stays."""
        with self._working() as connection:
            connection.execute(_END, (None, code, message, run_id))

    def has_ended(self, run_id: str) -> bool:
        """Whether the run has an outcome."""
        return run_id in self.outcomes([run_id])

    def outcomes(self, run_ids: Sequence[str]) -> Mapping[str, RunOutcome]:
        """The outcomes of the ended runs among these."""
        with self._working() as connection:
            rows = connection.execute(_OUTCOMES, (list(run_ids),)).fetchall()
        return {row[0]: RunOutcome(*row[1:]) for row in rows}

    def close(self) -> None:
        """Close the connection; the next call would reopen it."""
        with self._lock:
            self._drop()

    @contextmanager
    def _working(self) -> Iterator["psycopg.Connection[Any]"]:
        with self._lock:
            try:
                yield self._open()
            except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:
                self._drop()
                said = " ".join(str(error).split())[:300]
                raise StoreUnavailable(f"PostgreSQL at {self._address} cannot be used: {said}") from error

    def _open(self) -> "psycopg.Connection[Any]":
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._address.conninfo, autocommit=True, prepare_threshold=None, **self._address.options()
            )
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
