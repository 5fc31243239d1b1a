"""Copies an embedded installation into PostgreSQL and checks it, in one transaction; then marks the folder as moved."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing

from afterwrite.base.counts import counted
from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage.moving import target
from afterwrite.storage.moving.finishing import carry_over
from afterwrite.storage.moving.progress import Progress
from afterwrite.storage.moving.rows import Row, Summary, summarize
from afterwrite.storage.moving.source import EmbeddedSource, SourceTable
from afterwrite.storage.postgres.address import address_of, direct_address_of
from afterwrite.storage.sqlite.moved import mark_moved


def move(settings: Settings, resources: Mapping[str, CompiledResource], progress: Progress) -> None:
    """Copy the installation in DATA_DIR into the database at DATABASE_URL, all of it and checked when this returns.

    Copied are the records of ``resources``, ledger, the writes that wait, idempotency keys, tasks with their actions,
    paused types, received webhooks, and the secrets in the folder. Ids, the name of the task store and the order of
    writes stay what they are. Nothing in the folder is changed, except that its files get the newest schema and, at the
    end, a mark that lets nothing serve it any more; while this runs no server can have it. A NUL in a text, which
    PostgreSQL takes in none, becomes U+FFFD.

    The lock of a task whose server was killed is copied as it stands: no process renews it, so it expires
    ``TASK_LOCK_SECONDS`` after its last renewal, like that of any worker that died, with ``WORKER_LOST``, and the
    attempt counts. So such a task is taken over once, by the code that always does that (promise P9).

    An interrupted copy is rolled back by PostgreSQL, and the next one begins from the start. Between the commit there
    and the mark in the folder an interruption leaves both; the next run recognizes its own copy and sets the mark.
    Raises StoreError or SettingsError with one line that says what to do.
    """
    address = direct_address_of(settings)
    with closing(EmbeddedSource(settings, resources)) as source:
        progress.say(f"Reading {settings.data_dir} (catalogue {source.catalogue})")
        if source.moved_to is not None:
            progress.say(f"It was moved to {source.moved_to} before; what has come there since is not in the folder")
        wanted = {table.name: _sum_up(table, "read", table.rows(), 0, progress) for table in source.tables()}
        names = {"catalogue": source.catalogue, "store": source.store, **source.unfinished()}
        names["copied"] = json.dumps(names | {"tables": wanted}, sort_keys=True)  # the same text for the same rows
        with target.open_target(address) as connection:
            is_claimed = target.claim(connection, address, resources, list(wanted), names)
            if is_claimed:
                progress.say(f"Copying into {address}")
                _copy(connection, source, resources, wanted, names, progress)
                _check(connection, source, wanted, progress)
                target.require_alone(connection, address)
        # After the commit, or after one of an earlier run that ended before it could set the mark.
        mark_moved(settings.products_path, str(address_of(settings)))
        if not is_claimed:
            progress.say(f"All of it was copied into {address} and checked before: there is nothing to do")


def _copy(
    connection: target.Connection,
    source: EmbeddedSource,
    resources: Mapping[str, CompiledResource],
    wanted: Mapping[str, Summary],
    names: Mapping[str, str],
    progress: Progress,
) -> None:
    secrets = source.secrets()  # first: one that cannot be read is reported before all the work
    tables = {table.name: table for table in source.tables()}
    totals = list(tables.pop(target.TOTALS).rows())
    indexes = target.drop_indexes(connection, list(tables))
    for name, table in tables.items():
        with progress.step(f"{name} copied", wanted[name].rows) as report:
            target.copy(connection, table, report)
    for name, definition in indexes.items():
        with progress.step(f"index {name} built"):
            connection.execute(definition.encode())
    connection.execute(f"ANALYZE {target.named(list(wanted))}".encode())
    carry_over(connection, resources, names, secrets, totals)


def _check(
    connection: target.Connection, source: EmbeddedSource, wanted: Mapping[str, Summary], progress: Progress
) -> None:
    """Raise StoreError unless every row is there as it is in the source."""
    for table in source.tables():
        expected = wanted[table.name]
        found = _sum_up(table, "checked", target.rows(connection, table), expected.rows, progress)
        if found != expected:
            raise StoreError(
                f"The table {table.name} is not the same in PostgreSQL: {_text_of(found)} there, {_text_of(expected)} "
                "in DATA_DIR. Nothing was changed: remove what changes rows there, such as a trigger, "
                "and run this again"
            )
    rows = counted(sum(summary.rows for summary in wanted.values()), "row")
    progress.say(f"Counts and checksums of {len(wanted)} tables, {rows} in all, are the same on both sides")


def _sum_up(table: SourceTable, done: str, rows: Iterator[Row], count: int, progress: Progress) -> Summary:
    with progress.step(f"{table.name} {done}", count) as report:
        return summarize(rows, report)


def _text_of(summary: Summary) -> str:
    return f"{counted(summary.rows, 'row')} with the checksum {summary.checksum[:12]}"
