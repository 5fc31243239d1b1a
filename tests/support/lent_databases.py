"""Lends databases of PostgreSQL to tests, each as a new one is: to empty one is quicker than to make one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from declared import RESOURCES
from many_processes import new_database

from afterwrite.base.settings import Settings
from afterwrite.storage.postgres.stores import prepare_postgres

_REMEMBER = """
CREATE SCHEMA as_new;
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'afterwrite' LOOP
        EXECUTE format('CREATE TABLE as_new.%1$I AS TABLE afterwrite.%1$I', name);
    END LOOP;
END $$"""
_RESTORE = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'afterwrite' LOOP
        EXECUTE format('DELETE FROM afterwrite.%1$I', name);
        EXECUTE format('INSERT INTO afterwrite.%1$I SELECT * FROM as_new.%1$I', name);
    END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'afterwrite' LOOP
        EXECUTE format('ALTER SEQUENCE afterwrite.%I RESTART', name);
    END LOOP;
END $$"""


_TABLES = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('afterwrite', 'as_new')"


class LentDatabases:
    """The databases of one process of tests; a context manager, which drops them at its end."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._free: list[str] = []

    def __enter__(self) -> "LentDatabases":
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    @contextmanager
    def lend(self) -> Iterator[str]:
        """The URL of a database with the newest schema and nothing in it, for as long as it lasts."""
        url = self._free.pop() if self._free else self._make()
        yield url
        if _has_its_tables(url):
            _run(url, _RESTORE)
            self._free.append(url)

    def _make(self) -> str:
        url = self._stack.enter_context(new_database())
        prepare_postgres(Settings(database_url=url), RESOURCES)
        _run(url, _REMEMBER)
        return url


def _has_its_tables(url: str) -> bool:
    """Whether no other application made or dropped tables there; what has is not lent again."""
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        rows = connection.execute(_TABLES).fetchall()
    return {name for schema, name in rows if schema == "as_new"} == {
        name for schema, name in rows if schema != "as_new"
    }


def _run(url: str, statements: str) -> None:
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        connection.execute(statements.encode())
