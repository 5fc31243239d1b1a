"""Temporary PostgreSQL databases for measurements."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

DEFAULT_SERVER = "postgresql://postgres@127.0.0.1:5432/postgres"


@contextlib.contextmanager
def new_database() -> Iterator[str]:
    """Yield the URL of a new database, and drop it at the end, even with open connections.

    It is on the server of TEST_DATABASE_URL, or else at 127.0.0.1:5432; the user must be allowed to create databases.
    """
    name = f"afterwrite_bench_{secrets.token_hex(6)}"
    _on_server(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield _text(_server().set(database=name))
    finally:
        _on_server(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def connect(url: str) -> "psycopg.Connection[Any]":
    """A connection in autocommit."""
    return psycopg.connect(url, autocommit=True)


def count(connection: "psycopg.Connection[Any]", query: LiteralString, *values: Any) -> int:
    """The single number that a query returns."""
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return int(row[0])


def settle(url: str) -> None:
    """Update planner statistics and checkpoint, so that neither happens during a measurement."""
    with connect(url) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def server_version() -> str:
    """The version of the server, such as 15.4."""
    with connect(_text(_server())) as connection:
        return str(connection.info.parameter_status("server_version")).partition(" ")[0]


def _on_server(statement: sql.Composed) -> None:
    with connect(_text(_server())) as connection:
        connection.execute(statement)


def _server() -> URL:
    url = make_url(os.environ.get("TEST_DATABASE_URL") or DEFAULT_SERVER).set(drivername="postgresql")
    return url if url.database else url.set(database="postgres")


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
