"""Copies installations step by step: what a killed copy leaves, what follows from the rows, what is told."""

import contextlib
import hashlib
import io
import json
from pathlib import Path

import pytest
from embedded_installation import Installation
from many_processes import Fleet
from moving_house import FILES, Move

from afterwrite.base.settings import from_environment
from afterwrite.base.time_ordered import first_id_of
from afterwrite.resources.write import JOURNALED, Operation, Write, size_bytes
from afterwrite.storage.moving.progress import Progress
from afterwrite.storage.moving.rows import chunks, summarize
from afterwrite.storage.postgres.address import address_of
from afterwrite.storage.postgres.migrations import migrate
from afterwrite.storage.sqlite.journal import Journal
from afterwrite.storage.write_store import KeyUse

NOW_US = 1_700_000_000_000_000
FIRST_ID = first_id_of(NOW_US)
PRODUCTS = 25_000  # three chunks


@pytest.fixture
def move(tmp_path: Path, fleet: Fleet) -> Move:
    """A move of the folder ``data``, which is not there yet, into a new database."""
    return Move(tmp_path / "data", fleet)


def make_schema(move: Move) -> None:
    """The schema of an empty installation."""
    migrate(address_of(from_environment({"DATABASE_URL": move.fleet.url})))


def test_a_copy_waits_for_what_a_killed_one_has_begun(move: Move) -> None:
    Installation(move.folder).load(PRODUCTS)
    make_schema(move)
    with contextlib.ExitStack() as stack:
        stack.enter_context(move.standstill("products", 15_000))
        with move.running() as killed:
            move.wait_standing_still()
            killed.kill()
        with move.running() as process:  # PostgreSQL does not know yet that the first one is dead
            move.wait_standing_still(2)
            stack.close()
            said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert f"products copied: {PRODUCTS:,} rows (100%)" in said
    move.assert_same()


def test_a_copy_that_is_killed_after_every_line_leaves_what_an_undisturbed_one_does(move: Move) -> None:
    make_schema(move)
    indexes = move.indexes()
    installation = Installation(move.folder)
    installation.load(PRODUCTS)
    installation.settle(1_000)
    kills = 0
    while _killed_after_lines(move, kills + 1):
        kills += 1
        assert move.fleet.rows("SELECT count(*) FROM afterwrite.products") in ([(0,)], [(PRODUCTS + 500,)])
    assert kills > 8
    move.assert_same()
    assert move.indexes() == indexes
    names = move.fleet.rows("SELECT name FROM afterwrite.meta ORDER BY name")
    assert names == [("catalogue",), ("copied",), ("declarations",), ("outbox_through",), ("store",)]


def _killed_after_lines(move: Move, lines: int) -> bool:
    """Run the copy and kill it after so many lines; False when it had ended before."""
    with move.running() as process:
        assert process.stdout is not None
        for _ in range(lines):
            if not process.stdout.readline():
                assert process.wait(60) == 0
                return False
    return True


def test_what_waits_and_where_ids_go_on_is_as_it_was(move: Move) -> None:
    Installation(move.folder).load(10)
    settled = Write(FIRST_ID, "Product", "CREATE", 70, "{}", NOW_US)
    waiting = Write(FIRST_ID + 1, "Product", "CREATE", 80, '{"a": "ä"}', NOW_US)
    later = Write(FIRST_ID + 5, "Product", Operation.UPDATE, 9_999, "{}", NOW_US, None, "ann")
    with contextlib.closing(Journal.open(move.folder / "journal.db")) as journal:
        keys = [KeyUse("Z", "f", FIRST_ID, 1), KeyUse("ä", "g", FIRST_ID + 1, 5), KeyUse("a", "h", FIRST_ID, 1)]
        journal.append([settled, waiting, later], keys, 0)
    applied = (
        "INSERT INTO ledger VALUES (?, 'CREATE', 70, '{}', 1, NULL, 'APPLIED', NULL, NULL, 1, NULL, 'Product', NULL)"
    )
    move.in_files("products.db", applied, settled.id)  # and not dropped from the journal before a crash
    failed = (
        "INSERT INTO ledger VALUES (3, 'UPDATE', 100000, '{}', 1, NULL, 'FAILED', 'X', '', 1, NULL, 'Product', NULL)"
    )
    move.in_files("products.db", failed)  # a client may name any number
    move.succeed()
    rows = move.fleet.rows
    journaled = ", ".join(JOURNALED)
    waits = [write[: len(JOURNALED)] for write in (waiting, later)]
    assert rows(f"SELECT {journaled} FROM afterwrite.writes ORDER BY id") == waits
    assert rows("SELECT * FROM afterwrite.idempotency_keys ORDER BY key") == [
        ("Z", "f", FIRST_ID, 1, NOW_US),
        ("a", "h", FIRST_ID, 1, NOW_US),
        ("ä", "g", FIRST_ID + 1, 5, NOW_US),
    ]
    accepted = (2, size_bytes(waiting.arguments) + size_bytes(later.arguments), later.id)
    assert rows("SELECT writes, size_bytes, last_write_id FROM afterwrite.journal_accepted") == [accepted]
    assert rows("SELECT writes, size_bytes, through FROM afterwrite.journal_settled") == [(0, 0, settled.id)]
    assert rows("SELECT nextval('afterwrite.products_ids')") == [(81,)]
    [ids] = rows("SELECT nextval('afterwrite.write_ids'), nextval('afterwrite.task_ids')")
    assert min(ids) > later.id


def test_an_empty_installation_is_copied_too(move: Move) -> None:
    Installation(move.folder)
    move.succeed()
    assert move.fleet.rows("SELECT nextval('afterwrite.products_ids')") == [(1,)]
    assert move.fleet.rows("SELECT through FROM afterwrite.journal_settled") == [(0,)]


def test_both_sides_have_the_columns_that_are_copied(move: Move) -> None:
    Installation(move.folder)
    make_schema(move)
    of_table = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
    tables = [(file, table) for file, names in FILES.items() for table in names]
    for file, table in tables:
        here = {row[1] for row in move.in_files(file, f"PRAGMA table_info({table})")}
        there = {row[0] for row in move.fleet.rows(of_table, f"afterwrite.{table}")}
        assert here <= there
        assert there - here == ({"used_at_us"} if table == "idempotency_keys" else set()), table


def test_a_nul_in_a_text_is_no_hindrance(move: Move) -> None:
    Installation(move.folder)
    row = "INSERT INTO received_webhooks VALUES (7, 1, NULL, 'a' || char(0), NULL, 'VALID', ?)"
    move.in_files("tasks.db", row, "\0" * 65_536)
    move.succeed()
    kept = move.fleet.rows("SELECT correlation_id, body FROM afterwrite.received_webhooks")
    assert kept == [("a\ufffd", "\ufffd" * (65_536 // 3))]
    made = "INSERT INTO afterwrite.received_webhooks (received_at_us, verdict, body) VALUES (1, '', '') RETURNING id"
    assert move.fleet.rows(made) == [(8,)]


def test_chunks_are_short_where_rows_are_long() -> None:
    assert [len(chunk) for chunk in chunks((number,) for number in range(25_000))] == [10_000, 10_000, 5_000]
    assert [len(chunk) for chunk in chunks((number, "x" * 3_000_000) for number in range(4))] == [3, 1]
    assert list(chunks([])) == []


def test_a_checksum_depends_on_every_value_and_on_the_order_but_not_on_chunks() -> None:
    rows = [(1, "a", None, 4.5), (2, "ä", "", 0.0)]
    checksum = summarize(rows, lambda _: None).checksum
    others = [rows[::-1], rows[:1], [*rows, rows[1]], [rows[0], (2, "ä", None, 0.0)], [rows[0], (2, "ä", "", 0)]]
    assert checksum not in {summarize(other, lambda _: None).checksum for other in others}
    many = [(number, "x" * 1_000) for number in range(20_000)]
    text = "".join(json.dumps(row, separators=(",", ":")) + "," for row in many)
    assert summarize(many, lambda _: None).checksum == hashlib.sha256(text.encode()).hexdigest()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_progress_tells_rows_share_and_speed(kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterwrite.storage.moving.progress._TERMINAL_SECONDS", 0)
    stream = kind()
    progress = Progress(stream)
    with progress.step("products copied", 2_000) as told:
        told(1_000)
        told(1_000)
    with progress.step("writes copied"):
        pass
    said = stream.getvalue()
    assert "products copied: 2,000 rows (100%), " in said
    if stream.isatty():
        assert "\rproducts copied: 1,000 rows (50%), " in said
        assert said.endswith("\r\x1b[K")
    else:
        assert said.count("\n") == 1
