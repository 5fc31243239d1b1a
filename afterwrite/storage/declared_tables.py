"""Brings the tables of resources to their declarations: applies what only adds, refuses what could lose data.

The database remembers the declarations that its tables follow, and the fingerprint of those that came last: with
PostgreSQL a process that has other ones leaves the drain to those that have these.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy.schema import CreateTable

from afterwrite.base.store_errors import StoreError
from afterwrite.resources import first_version
from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage.table_change import TableChange, TableDatabase, engine_connection
from afterwrite.storage.tables import declaration_of, index_statement, indexes_of, table_of

Declarations = Mapping[str, Mapping[str, Any]]
FINGERPRINT = "declarations"  # the name in ``meta``
_SETTLES = 2  # raised when writes get a form that versions before would fail: 2 brought upserts and the outbox


def is_up_to_date(database: TableDatabase, resources: Mapping[str, CompiledResource]) -> bool:
    """Whether the database follows these declarations, and they are those that came last."""
    recorded = _recorded(database)
    is_recorded = all(recorded.get(name) == declaration for name, declaration in _declared(resources).items())
    kept = database.execute(f"SELECT value FROM {database.named('meta')} WHERE name = ?", FINGERPRINT)  # noqa: S608
    return is_recorded and [tuple(row) for row in kept] == [(fingerprint(resources),)]


def bring_up_to_date(
    database: TableDatabase, resources: Mapping[str, CompiledResource], allowed: Collection[str] = ()
) -> None:
    """Create or change the tables of the resources in the transaction that is open, and record the declarations.

    ``allowed`` are columns, as ``table.column``, whose values may be lost. Raises StoreError with a line for each
    change that may not be done; then the caller rolls back.
    """
    recorded, declared = _recorded(database), _declared(resources)
    by_table = {one["table"]: one for one in recorded.values()}
    changes, refused, known = [], list(_moved(database, resources, recorded)), set[str]()
    for name, resource in resources.items():
        known |= {f"{resource.table}.{column}" for column in resource.of_column}
        if not database.has_table(resource.table):
            continue
        before = by_table.get(resource.table)
        if before is None or _of_table(before) != _of_table(declared[name]):
            change = TableChange(database, resource, before, allowed, resources)
            changes.append(change)
            refused += change.refusals()
            known |= change.columns
    refused += [f"--allow names {name!r}, and there is no such column" for name in sorted({*allowed} - known)]
    if refused:
        raise StoreError("\n".join(refused))
    for change in changes:
        change.apply()
    for resource in resources.values():
        if not database.has_table(resource.table):
            _create(database, resource)
    _record(database, resources, recorded)


def fingerprint(resources: Mapping[str, CompiledResource]) -> str:
    """A short text that differs where declarations do, operations included, or what a version can settle."""
    settled = {"settles": _SETTLES, "resources": _declared(resources)}
    return hashlib.sha256(json.dumps(settled, sort_keys=True).encode()).hexdigest()[:32]


def undeclared_rows(database: TableDatabase, resources: Mapping[str, CompiledResource]) -> dict[str, int]:
    """How many records there are of each resource that is recorded and not declared any more, if any."""
    declared = {resource.table for resource in resources.values()}
    found: dict[str, int] = {}
    for name, one in _recorded(database).items():
        if one["table"] not in declared and database.has_table(one["table"]):
            [(found[name],)] = database.execute(f"SELECT count(*) FROM {database.named(one['table'])}")  # noqa: S608
    return {name: rows for name, rows in found.items() if rows}


def _recorded(database: TableDatabase) -> dict[str, Mapping[str, Any]]:
    """The declarations that the tables follow, by name; that of the first version is recorded as an empty one."""
    rows = database.execute(f"SELECT name, declaration FROM {database.named('resources')}")  # noqa: S608
    return {name: json.loads(declaration) or first_version.DECLARATION for name, declaration in rows}


def _declared(resources: Mapping[str, CompiledResource]) -> dict[str, Any]:
    return {name: json.loads(json.dumps(declaration_of(resource))) for name, resource in resources.items()}


def _of_table(declaration: Mapping[str, Any]) -> dict[str, Any]:
    """What a declaration says of its table."""
    return {name: value for name, value in declaration.items() if name not in ("operations", "on_delete")}


def _moved(database: TableDatabase, resources: Mapping[str, CompiledResource], recorded: Declarations) -> Iterator[str]:
    """The resources whose records are in a table of another name."""
    for name, resource in resources.items():
        table = recorded[name]["table"] if name in recorded else resource.table
        if table != resource.table and database.has_table(table) and not _is_empty(database, table):
            yield f'{name} has its records in the table {table}: give table="{table}" after the base class'


def _create(database: TableDatabase, resource: CompiledResource) -> None:
    with engine_connection(database) as connection:
        database.execute(str(CreateTable(table_of(resource)).compile(dialect=connection.dialect)))
    for index in indexes_of(resource, database.dialect):
        database.execute(index_statement(resource, index, database.dialect))
    database.make_beside(resource)


def _record(database: TableDatabase, resources: Mapping[str, CompiledResource], recorded: Declarations) -> None:
    """Record the declarations, and keep those of tables that stay; the one of a new database goes if it is not used."""
    declared, table, meta = _declared(resources), database.named("resources"), database.named("meta")
    used = {one["table"] for one in declared.values()}
    for name, one in recorded.items():
        is_new = one is first_version.DECLARATION and one["table"] not in used and database.has_table(one["table"])
        if is_new and _is_empty(database, one["table"]):
            database.drop(one["table"])
        if name in declared or one["table"] in used or not database.has_table(one["table"]):
            database.execute(f"DELETE FROM {table} WHERE name = ?", name)  # noqa: S608 - names of ours, here and below
    for name, declaration in declared.items():
        text = json.dumps(declaration, sort_keys=True)
        columns = "(name, table_name, declaration) VALUES (?, ?, ?)"
        database.execute(f"INSERT INTO {table} {columns}", name, declaration["table"], text)
    database.execute(f"DELETE FROM {meta} WHERE name = ?", FINGERPRINT)  # noqa: S608
    database.execute(f"INSERT INTO {meta} (name, value) VALUES (?, ?)", FINGERPRINT, fingerprint(resources))  # noqa: S608


def _is_empty(database: TableDatabase, table: str) -> bool:
    return not database.execute(f"SELECT 1 FROM {database.named(table)} LIMIT 1")  # noqa: S608
