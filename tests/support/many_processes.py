"""Starts any number of real processes on one PostgreSQL."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from server_process import ROOT, ServerProcess, WorkerProcess, process_group

from afterwrite.storage.postgres.drain import LOCK

SMALL = {"DATABASE_CONNECTIONS": "4", "STAGE_SECONDS": "0", "TASK_LOCK_SECONDS": "4"}
KILL_WORKERS = {"WORKER_MODULES": "kill_workers", "PYTHONPATH": str(ROOT / "tests" / "support")}


class Fleet:
    """The processes of one installation; those that still run are killed at the end."""

    def __init__(self, folder: Path, url: str) -> None:
        """``url`` as DATABASE_URL has it."""
        self.url = url
        self._folder = folder
        self._made: list[ServerProcess] = []

    def server(self, **environment: str) -> ServerProcess:
        """A server with its port and folder of its own, not yet started."""
        given = {"DATABASE_URL": self.url, **SMALL, **environment}
        self._made.append(ServerProcess(self._new_folder(), **given))
        return self._made[-1]

    def worker(self, *arguments: str, **environment: str) -> WorkerProcess:
        """A process of workers, not yet started."""
        worker = WorkerProcess(self._new_folder(), *arguments, **{"DATABASE_URL": self.url, **SMALL, **environment})
        self._made.append(worker)
        return worker

    def rows(self, statement: str, *values: object) -> list[Any]:
        """What a statement finds in the database."""
        with self.connection() as connection:
            return connection.execute(statement.encode(), values).fetchall()

    @contextlib.contextmanager
    def connection(self) -> Iterator["psycopg.Connection[Any]"]:
        """A connection of the test's own."""
        plain = self.url.replace("postgresql+psycopg", "postgresql")
        with psycopg.connect(plain, autocommit=True) as connection:
            yield connection

    @contextlib.contextmanager
    def no_drain(self) -> Iterator[None]:
        """Nobody applies writes inside, as if the drain were slow: somebody else has its lock."""
        with self.connection() as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
            yield

    def drainer(self) -> ServerProcess | None:
        """The server whose process has the lease of the drain."""
        [(name,)] = self.rows("SELECT drainer FROM afterwrite.journal_settled")
        for server in self._made:
            if name and server.process and int(name.split("-")[-2]) in process_group(server.process.pid):
                return server
        return None

    def kill_all(self) -> None:
        """Kill what still runs."""
        for process in self._made:
            process.kill()

    def _new_folder(self) -> Path:
        folder = self._folder / f"process{len(self._made)}"
        folder.mkdir(parents=True)
        return folder


def server_url() -> str:
    """Where tests find PostgreSQL: TEST_DATABASE_URL, or this machine."""
    return os.environ.get("TEST_DATABASE_URL") or "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"


@contextlib.contextmanager
def new_database(settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """The URL of a new empty database, dropped at the end; ``settings`` are those of its sessions."""
    name, url = f"afterwrite_test_{secrets.token_hex(6)}", server_url()
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        for setting, value in (settings or {}).items():
            connection.execute(f"ALTER DATABASE {name} SET {setting} = {value}".encode())
        try:
            yield url.rpartition("/")[0] + f"/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def health(server: ServerProcess) -> dict[str, Any]:
    """What /health tells."""
    found: dict[str, Any] = json.loads(server.get("/health")[1])
    return found
