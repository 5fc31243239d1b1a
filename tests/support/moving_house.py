"""Runs `afterwrite migrate-to-postgres` as a process of its own, and looks at both sides."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embedded_installation import settings_of
from many_processes import Fleet
from server_process import ROOT, wait_until

from afterwrite.storage.postgres.address import address_of
from afterwrite.storage.postgres.migrations import migrate

SECONDS = 120
# The tables that are the same on both sides, in the columns that the files have.
FILES = {
    "products.db": ("products", "ledger", "ledger_totals", "outbox"),
    "journal.db": ("writes", "idempotency_keys"),
    "tasks.db": ("tasks", "paused_task_types", "task_actions", "received_webhooks"),
}

_LOCK = 17
# Whoever inserts this row waits until the test gives its lock up.
_STANDSTILL = """
CREATE FUNCTION public.stand_still() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.id = {row} THEN PERFORM pg_advisory_xact_lock({lock}); END IF;
    RETURN new;
END $$;
CREATE TRIGGER stand_still BEFORE INSERT ON afterwrite.{table} FOR EACH ROW EXECUTE FUNCTION public.stand_still();
"""
# The same at the commit of a copy.
_NO_COMMIT = """
CREATE FUNCTION public.wait_to_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({lock});
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER wait_to_commit AFTER UPDATE ON afterwrite.journal_settled
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.wait_to_commit();
"""
_END_OTHERS = """
SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_WAITS = """
SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE NOT granted AND locktype = 'advisory' AND datname = current_database()
"""


class Move:
    """A data folder that is to be copied into the database of a fleet."""

    def __init__(self, folder: Path, fleet: Fleet) -> None:
        self.folder, self.fleet = folder, fleet

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "afterwrite", "migrate-to-postgres", *arguments]

    def environment(self, **settings: str) -> dict[str, str]:
        """The environment of the command."""
        return os.environ | {"DATA_DIR": str(self.folder), "DATABASE_URL": self.fleet.url} | settings

    def run(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(**settings),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def succeed(self, *arguments: str, **settings: str) -> str:
        """Run it to its end, which must be a good one; what it said."""
        done = self.run(*arguments, **settings)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def fail(self, *arguments: str, **settings: str) -> str:
        """Run it where it must not go on; the one line that it said."""
        done = self.run(*arguments, **settings)
        assert done.returncode == 1, done
        assert done.stderr.startswith("migrate-to-postgres: ")
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    @contextlib.contextmanager
    def running(self) -> Iterator["subprocess.Popen[str]"]:
        """The command while it runs; killed at the end."""
        process = subprocess.Popen(self.command(), env=self.environment(), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        with process:
            try:
                yield process
            finally:
                process.kill()

    def kill_after(self, line: str) -> None:
        """Kill it when it has said a line that begins so; it cannot commit before."""
        migrate(address_of(settings_of(self.folder, self.fleet.url)))
        with self.fleet.connection() as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            connection.execute(_NO_COMMIT.format(lock=_LOCK).encode())
            with self.running() as process:
                assert process.stdout is not None
                assert any(said.startswith(line) for said in process.stdout), f"it never said {line!r}"
            # A backend that waits for the lock does not see that its client is gone, and would commit.
            connection.execute(_END_OTHERS)

    def in_files(self, file: str, statement: str, *values: object) -> list[Any]:
        """What a statement finds in a file of the folder."""
        with contextlib.closing(sqlite3.connect(self.folder / file)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def assert_same(self) -> None:
        """Every row of every table is in PostgreSQL as it is in the files; found out without the code that copies."""
        [(settled,)] = self.in_files("products.db", "SELECT coalesce(max(id), 0) FROM ledger")
        for file, tables in FILES.items():
            for table in tables:
                names = [row[1] for row in self.in_files(file, f"PRAGMA table_info({table})")]
                listed = ", ".join(f'"{name}"' for name in names)
                there = self.fleet.rows(f"SELECT {listed} FROM afterwrite.{table} ORDER BY {names[0]}")
                waiting = f"WHERE id > {settled}" if table == "writes" else ""
                here = self.in_files(file, f"SELECT {listed} FROM {table} {waiting} ORDER BY {names[0]}")
                assert there == here, table

    def indexes(self) -> list[Any]:
        """Every index of the schema as it is defined."""
        return self.fleet.rows("SELECT indexdef FROM pg_indexes WHERE schemaname = 'afterwrite' ORDER BY 1")

    @contextlib.contextmanager
    def standstill(self, table: str, row: int) -> Iterator[None]:
        """No copy gets past a row of a table inside; the schema is there already."""
        with self.fleet.connection() as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            connection.execute(_STANDSTILL.format(row=row, lock=_LOCK, table=table).encode())
            yield

    def wait_standing_still(self, copies: int = 1) -> None:
        """Wait until one copy has come to that row, and others wait for it."""
        wait_until(lambda: self.fleet.rows(_WAITS) == [(copies,)], SECONDS)
