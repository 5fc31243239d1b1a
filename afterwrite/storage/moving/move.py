"""Copies an embedded installation into PostgreSQL and checks it: the order of the steps, each safe to be done twice."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Protocol

from afterwrite.base.counts import counted
from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.storage.moving.rows import Row, Summary, Told, summarize
from afterwrite.storage.moving.source import EmbeddedSource, SourceTable
from afterwrite.storage.moving.target import TOTALS, Begun, Plan, PostgresTarget
from afterwrite.storage.postgres.address import address_of, direct_address_of


class Teller(Protocol):
    """Who tells how it goes."""

    def say(self, text: str) -> None:
        """A line."""

    def begin(self, what: str) -> None:
        """A step begins that takes a while."""

    def end(self) -> None:
        """That has ended."""

    def begin_rows(self, what: str, rows: int = 0, present: int = 0) -> Told:
        """A step begins that goes over so many rows (0: nobody knows), ``present`` of which were done before.

        Returns what is to be called with how many more are done.
        """

    def end_rows(self) -> None:
        """That has ended."""


def move(settings: Settings, teller: Teller) -> None:
    """Copy the installation in DATA_DIR into the database at DATABASE_URL, all of it and checked when this returns.

    Copied are products, ledger, the writes that wait, idempotency keys, tasks with their actions, paused types,
    received webhooks, and the secrets in the folder. Ids, the name of the task store and the order of writes stay what
    they are. Nothing in the folder is changed, except that its files get the newest schema and, at the end, a mark
    that lets nothing serve it any more; while this runs no server can have it. A NUL in a text, which PostgreSQL takes
    in none, becomes U+FFFD.

    The lock of a task whose server was killed is copied as it stands: nobody renews it, so it expires
    ``TASK_LOCK_SECONDS`` after its last renewal, like that of any worker that died, with ``WORKER_LOST``, and the
    attempt counts. So such a task is taken over once, by the code that always does that (promise P9).

    May be interrupted at any moment and run again until it returns; before that nothing else starts on that database.
    Raises StoreError or SettingsError with one line that says what to do.
    """
    address = direct_address_of(settings)
    with closing(EmbeddedSource(settings)) as source:
        tables = source.tables()
        teller.say(f"Reading {settings.data_dir} (catalogue {source.catalogue})")
        if source.moved_to is not None:
            teller.say(
                f"It was moved to {source.moved_to} before; what has come there since is not in the folder"
            )
        summaries = {table.name: _summary("read", table, table.rows_after(None), teller) for table in tables}
        plan = Plan(source.catalogue, source.store, summaries)
        with closing(PostgresTarget(address, plan)) as target:
            begun = target.claim()
            if begun is Begun.COMPLETE:
                source.mark_moved(str(address_of(settings)))  # that copy may have ended before it did
                teller.say(f"All of it was copied into {address} and checked before: there is nothing to do")
                return
            teller.say(f"Copying into {address}{_BEGINNINGS[begun]}")
            _copy(source, target, plan, teller)
            _check(target, tables, plan, teller)
            target.complete()
            source.mark_moved(str(address_of(settings)))


_BEGINNINGS = {
    Begun.FRESH: "",
    Begun.GOES_ON: ", from where the copy before this one ended",
    Begun.ANEW: ", from the start: the files have changed since the copy before this one, or that one went wrong",
}


def _copy(source: EmbeddedSource, target: PostgresTarget, plan: Plan, teller: Teller) -> None:
    secrets = source.secrets()  # first: one that cannot be read is told before all the work
    totals: list[Row] = []
    for table in source.tables():
        if table.name == TOTALS:
            totals = list(table.rows_after(None))
            continue
        rows, present = plan.tables[table.name].rows, target.present(table)
        target.copy(table, teller.begin_rows(f"{table.name} copied", rows, present))
        teller.end_rows()
    for index in target.indexes():
        teller.begin(f"index {index} built")
        target.build(index)
        teller.end()
    target.carry_over(secrets, totals)


def _check(target: PostgresTarget, tables: Sequence[SourceTable], plan: Plan, teller: Teller) -> None:
    """Raise StoreError unless every row is there as it is in the source."""
    for table in tables:
        target.analyze(table)
        wanted = plan.tables[table.name]
        found = _summary("checked", table, target.rows(table), teller, wanted.rows)
        if found != wanted:
            target.begin_anew_next_time()
            raise StoreError(
                f"The table {table.name} is not the same in PostgreSQL: {_told(found)} there, {_told(wanted)} in "
                "DATA_DIR. Something else has written into the database: make sure that nothing does, and run this "
                "again; it begins anew"
            )
    rows = sum(summary.rows for summary in plan.tables.values())
    teller.say(
        f"Counts and checksums of {len(tables)} tables, {counted(rows, 'row')} in all, are the same on both sides"
    )


def _summary(done: str, table: SourceTable, rows: Iterator[Row], teller: Teller, count: int = 0) -> Summary:
    summary = summarize(rows, teller.begin_rows(f"{table.name} {done}", count))
    teller.end_rows()
    return summary


def _told(summary: Summary) -> str:
    return f"{counted(summary.rows, 'row')} with the checksum {summary.checksum[:12]}"
