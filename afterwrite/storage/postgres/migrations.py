"""PostgreSQL schema migrations: numbered SQL files, each applied once, in one transaction."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import psycopg

from afterwrite.base.store_errors import StoreError
from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage.driver import SCHEMA
from afterwrite.storage.postgres.address import Address
from afterwrite.storage.postgres.connect import connect, explained
from afterwrite.storage.postgres.declared import follow_declarations

_log = logging.getLogger("afterwrite.database")
_STEPS = Path(__file__).parent / "sql"
_LEAST_SERVER = 14
_LOCK = 7_046_029_254_386_353  # arbitrary number of the advisory lock for migrations
_VERSION = f"SELECT coalesce(max(version), 0) FROM {SCHEMA}.schema_versions"  # noqa: S608 - a constant


def migrate(
    address: Address, resources: Mapping[str, CompiledResource] | None = None, allowed: Collection[str] = ()
) -> None:
    """Migrate the database; idempotent, and safe in several processes at once.

    The tables of records follow ``resources``, with what is ``allowed``; None leaves them as they are.

    Raises StoreError, whose text says what to do: the database is unavailable, not writable or too old, or its schema
    is newer than this program.
    """
    with connect(address, prepared=False) as connection:
        bring_up_to_date(connection, address, resources, allowed)


def bring_up_to_date(
    connection: "psycopg.Connection[Any]",
    address: Address,
    resources: Mapping[str, CompiledResource] | None = None,
    allowed: Collection[str] = (),
) -> None:
    """The same on a connection: in a transaction of its own, or within the one that is open."""
    try:
        _check_server(connection, address)
        if not _is_newest(connection, address):
            with connection.transaction():
                _apply(connection, address)
        if resources is not None:
            follow_declarations(connection, resources, lambda: _trigram_class(connection), allowed)
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(
            f"The database {address} cannot be set up: {error.diag.message_primary}. Let its owner start "
            f'Afterwrite once, or say as owner: GRANT CREATE ON DATABASE "{address.url.database}" '
            f'TO "{address.url.username}"'
        ) from error
    except psycopg.Error as error:
        explanation = explained(f"The database {address} cannot be set up", error)
        raise StoreError(str(explanation)) from error


def newest_version() -> int:
    """The newest schema version that this program knows."""
    return int(_steps()[-1].stem)


def _steps() -> list[Path]:
    return sorted(_STEPS.glob("*.sql"))


def _check_server(connection: "psycopg.Connection[Any]", address: Address) -> None:
    version = connection.info.server_version // 10_000
    if version < _LEAST_SERVER:
        raise StoreError(
            f"The PostgreSQL at {address} has version {version}; {_LEAST_SERVER} or later is needed: update it"
        )


def _is_newest(connection: "psycopg.Connection[Any]", address: Address) -> bool:
    present = _present(connection)
    if present > newest_version():
        raise StoreError(
            f"The database {address} has schema version {present}, this program knows {newest_version()}: "
            "start a newer version of the program, or use another database"
        )
    return present == newest_version()


def _present(connection: "psycopg.Connection[Any]") -> int:
    known = connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.schema_versions",)).fetchone()
    if known is None or known[0] is None:
        return 0
    row = connection.execute(_VERSION).fetchone()
    return int(row[0]) if row else 0


def _apply(connection: "psycopg.Connection[Any]", address: Address) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    if _is_newest(connection, address):  # another process migrated it
        return
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {SCHEMA}.schema_versions "
        "(version int PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    trigram = _trigram_class(connection)
    present = _present(connection)
    if present:
        _log.warning(
            "The database %s goes from schema version %d to %d: a large one takes a while",
            address,
            present,
            newest_version(),
        )
    for step in _steps()[present:]:
        script = step.read_text(encoding="utf-8").replace("gin_trgm_ops", trigram)
        connection.execute(script.encode())
        number = int(step.stem)
        connection.execute(f"INSERT INTO {SCHEMA}.schema_versions (version) VALUES (%s)", (number,))  # noqa: S608


def _trigram_class(connection: "psycopg.Connection[Any]") -> str:
    """The qualified operator class of pg_trgm, which may be installed in any schema."""
    find = (
        "SELECT quote_ident(n.nspname) FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace "
        "WHERE e.extname = 'pg_trgm'"
    )
    found = connection.execute(find).fetchone()
    if found is None:
        try:
            connection.execute(f"CREATE EXTENSION pg_trgm SCHEMA {SCHEMA}")
        except psycopg.errors.Error as error:
            raise StoreError(
                f"The extension pg_trgm, which searches need, cannot be created: {error.diag.message_primary}. Install "
                "it (it comes with PostgreSQL, on Debian as postgresql-contrib), or say as superuser: CREATE EXTENSION "
                "pg_trgm"
            ) from error
        return f"{SCHEMA}.gin_trgm_ops"
    return f"{found[0]}.gin_trgm_ops"
