"""Copying an embedded installation into PostgreSQL: all of it, whatever interrupts it, or a clear refusal."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from declared import PRODUCT, RESOURCES
from embedded_installation import Installation, settings_of
from in_process import create, update
from many_processes import Fleet
from moving_house import FILES, SECONDS, Move
from server_process import ROOT, ServerProcess, free_port
from write_load import PARCELS_APP, PARCELS_PATH

from afterwrite.base.store_errors import StoreError
from afterwrite.storage.catalogue_load import open_loader
from afterwrite.storage.postgres.address import address_of
from afterwrite.storage.postgres.migrations import migrate

SPOILED = """
CREATE FUNCTION public.spoil() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.id = 7 THEN new.title := 'Spoiled'; END IF;
    RETURN new;
END $$;
CREATE TRIGGER spoil BEFORE INSERT ON afterwrite.products FOR EACH ROW EXECUTE FUNCTION public.spoil();
"""


def _everything(folder: Path) -> Installation:
    """An installation with rows in every table that has several chunks, and writes that wait."""
    made = Installation(folder)
    made.load(12_500)
    made.settle(12_400)
    made.add_tasks(300)
    one, two = made.accept(create("Waits"), create("Waits too"), key="known", settle=1)
    made.accept(update(one.record_id, title="Changed"), update(two.record_id + 100, title="Fails"))
    return made


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The same for tests that leave it as it is."""
    return _everything(tmp_path_factory.mktemp("everything") / "data")


@pytest.mark.parametrize(
    ("table", "place"), [("products", 4_000), ("products", 11_000), ("ledger", 11_000), ("tasks", 100)]
)
def test_a_copy_killed_in_the_middle_leaves_an_empty_database_and_begins_again(
    everything: Installation, fleet: Fleet, table: str, place: int
) -> None:
    move = Move(everything.folder, fleet)
    migrate(address_of(settings_of(move.folder, fleet.url)))
    indexes = move.indexes()
    with standing_still(move, everything, table, place) as process:
        process.kill()
        assert process.wait() == -signal.SIGKILL
    _assert_empty(fleet)
    assert move.indexes() == indexes
    move.succeed()
    _assert_complete(everything, fleet)


@pytest.mark.parametrize("line", ["ledger copied", "tasks checked"])
def test_a_copy_killed_between_two_steps_begins_again(everything: Installation, fleet: Fleet, line: str) -> None:
    move = Move(everything.folder, fleet)
    move.kill_after(line)
    assert "are the same on both sides" in move.succeed()
    _assert_complete(everything, fleet)
    assert "there is nothing to do" in move.succeed()


@contextlib.contextmanager
def standing_still(
    move: Move, installation: Installation, table: str, place: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """A copy that does not get past a row inside; outside it goes on."""
    file = "tasks" if table == "tasks" else "products"
    [(row,)] = installation.rows(file, f"SELECT id FROM {table} ORDER BY id LIMIT 1 OFFSET {place}")
    migrate(address_of(settings_of(move.folder, move.fleet.url)))
    with move.standstill(table, row):
        process = subprocess.Popen(move.command(), env=move.environment(), cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            move.wait_standing_still()
            yield process
        except BaseException:
            process.kill()
            process.wait()
            raise


def _assert_empty(fleet: Fleet) -> None:
    """Nothing of a copy is there; waits until PostgreSQL has noticed that it was killed."""
    for table in (name for names in FILES.values() for name in names):
        which = "WHERE writes > 0" if table == "ledger_totals" else ""
        assert fleet.rows(f"SELECT count(*) FROM afterwrite.{table} {which}") == [(0,)], table
    names = fleet.rows("SELECT name FROM afterwrite.meta ORDER BY name")
    assert names == [("catalogue",), ("outbox_through",), ("store",)]
    assert fleet.rows("SELECT last_value, is_called FROM afterwrite.products_ids") == [(1, False)]


def _assert_complete(installation: Installation, fleet: Fleet) -> None:
    """All rows are there, and ids go on after those that were given."""
    move = Move(installation.folder, fleet)
    move.assert_same()
    for table, sequence in (("products", "products_ids"), ("tasks", "task_ids"), ("writes", "write_ids")):
        greatest = f"(SELECT coalesce(max(id), 0) FROM afterwrite.{table})"
        assert fleet.rows(f"SELECT {greatest} < nextval('afterwrite.{sequence}')") == [(True,)], table
    names = dict(fleet.rows("SELECT name, value FROM afterwrite.meta"))
    assert [(names["store"],)] == installation.rows("tasks", "SELECT value FROM meta WHERE name = 'store'")
    assert "copying" not in names


def test_nothing_else_starts_on_a_database_that_is_being_copied_into(everything: Installation, fleet: Fleet) -> None:
    move = Move(everything.folder, fleet)
    with standing_still(move, everything, "products", 4_000) as process:
        _assert_refused(fleet, everything, "not all of it is there yet: try again when `python3 dev.py migrate-to")
        assert process.poll() is None
    assert process.wait(SECONDS) == 0
    _assert_complete(everything, fleet)
    fleet.server().start()


def test_a_database_that_an_older_version_left_half_copied_is_refused(everything: Installation, fleet: Fleet) -> None:
    migrate(address_of(settings_of(everything.folder, fleet.url)))
    fleet.rows("INSERT INTO afterwrite.meta VALUES ('copying', '{}'), ('copying_indexes', '{}') RETURNING name")
    move = Move(everything.folder, fleet)
    said = "not all of it is there yet: remove that with DROP SCHEMA afterwrite CASCADE"
    _assert_refused(fleet, everything, said)
    assert said in move.fail()
    with fleet.connection() as connection:
        connection.execute("DROP SCHEMA afterwrite CASCADE")
    move.succeed()
    _assert_complete(everything, fleet)


def _assert_refused(fleet: Fleet, installation: Installation, reason: str) -> None:
    """Neither a server, a worker nor a load starts."""
    for process in (fleet.server(), fleet.worker()):
        started = process.launch(keep_errors=True)
        _out, said = started.communicate(timeout=60)
        assert started.returncode == 1
        assert reason in said
        process.process = None
    with pytest.raises(StoreError, match=reason):
        open_loader(settings_of(installation.folder, fleet.url), RESOURCES, PRODUCT)


def test_files_that_have_changed_since_the_copy_are_not_copied_over_it(tmp_path: Path, fleet: Fleet) -> None:
    installation = Installation(tmp_path / "data")
    installation.settle(100)
    move = Move(installation.folder, fleet)
    move.kill_after("ledger copied")
    installation.settle(10)
    move.succeed()
    _assert_complete(installation, fleet)
    move.succeed("--reopen")
    installation.settle(10)
    assert "the files in DATA_DIR have changed since" in move.fail()


@pytest.mark.parametrize("marked_at", ["the end of the copy", "the next run, after a kill before the mark"])
def test_a_folder_that_was_moved_is_used_by_nothing_any_more(tmp_path: Path, fleet: Fleet, marked_at: str) -> None:
    installation = Installation(tmp_path / "data")
    installation.settle(10)
    move = Move(installation.folder, fleet)
    with_password = {"DATABASE_URL": fleet.url.replace("@", ":open-sesame@")}
    move.succeed(**with_password)
    if marked_at != "the end of the copy":
        move.in_files("products.db", "DELETE FROM meta WHERE name = 'moved_to'")
        assert "there is nothing to do" in move.succeed(**with_password)
    before = installation.rows("products", "SELECT * FROM products")
    for program in (["app.py"], ["init_db.py"], ["-m", "devkit.shell_names"]):
        done = _run_without_database(move, program)
        assert done.returncode != 0, program
        said = done.stderr.strip().splitlines()[-1]
        assert f"The data in {move.folder} was moved to postgresql://postgres:***@" in said
        assert fleet.url.rpartition("/")[2] in said
        assert "`python3 dev.py migrate-to-postgres --reopen`" in said
        assert "open-sesame" not in done.stderr
    assert installation.rows("products", "SELECT * FROM products") == before


def test_a_folder_that_was_moved_can_be_reopened_deliberately(tmp_path: Path, fleet: Fleet) -> None:
    installation = Installation(tmp_path / "data")
    installation.settle(10)
    move = Move(installation.folder, fleet)
    assert "was never moved" in move.fail("--reopen")
    move.succeed()
    assert "is served again where DATABASE_URL is not set" in move.succeed("--reopen", DATABASE_URL="")
    server = ServerProcess(installation.folder)
    try:
        assert len(server.start().query("{ allProducts { id } }")["allProducts"]) == 5
    finally:
        server.kill()


def test_a_folder_that_is_not_copied_to_the_end_is_served_as_before(tmp_path: Path, fleet: Fleet) -> None:
    installation = Installation(tmp_path / "data")
    installation.settle(100)
    Move(installation.folder, fleet).kill_after("ledger copied")
    server = ServerProcess(installation.folder)
    try:
        server.start()
    finally:
        server.kill()


def _run_without_database(move: Move, program: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *program],
        env=move.environment(DATABASE_URL="", PORT=str(free_port())),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_row_that_is_not_the_same_is_noticed_and_nothing_is_copied(tmp_path: Path, fleet: Fleet) -> None:
    installation = Installation(tmp_path / "data")
    installation.load(100)
    migrate(address_of(settings_of(installation.folder, fleet.url)))
    with fleet.connection() as connection:
        connection.execute(SPOILED)
        move = Move(installation.folder, fleet)
        assert "The table products is not the same in PostgreSQL: 100 rows" in move.fail()
        _assert_empty(fleet)
        connection.execute("DROP FUNCTION public.spoil CASCADE")
    move.succeed()
    _assert_complete(installation, fleet)


def test_a_database_that_is_in_use_is_refused_and_left_as_it_is(tmp_path: Path, fleet: Fleet) -> None:
    server = fleet.server().start()
    answer = server.query('mutation { createProductSync(title: "Theirs", price: 1) { success } }')
    assert answer["createProductSync"]["success"]
    move = Move(Installation(tmp_path / "data").folder, fleet)
    assert "is in use already: there are rows in its table products. Nothing was changed" in move.fail()
    assert server.query("{ allProducts { title } }") == {"allProducts": [{"title": "Theirs"}]}
    names = {name for (name,) in fleet.rows("SELECT name FROM afterwrite.meta")}
    clocks = {"retention_clock_of_keys", "retention_clock_of_tasks"}
    assert names <= {"catalogue", "declarations", "outbox_through", "store"} | clocks


def test_a_database_on_which_a_process_works_is_refused(tmp_path: Path, fleet: Fleet) -> None:
    server = fleet.server().start()
    move = Move(Installation(tmp_path / "data").folder, fleet)
    assert "A process works on the database" in move.fail()
    server.stop()
    move.succeed()


def test_a_second_catalogue_is_refused_while_a_first_one_is_being_copied(
    everything: Installation, tmp_path: Path, fleet: Fleet
) -> None:
    move = Move(everything.folder, fleet)
    other = Move(Installation(tmp_path / "other").folder, fleet)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(standing_still(move, everything, "products", 4_000))
        with other.running() as second:
            move.wait_standing_still(2)
            stack.close()
            assert (first.wait(SECONDS), second.wait(SECONDS)) == (0, 1)
    assert "is in use already" in other.fail()
    _assert_complete(everything, fleet)


@pytest.mark.one_database("a data folder is what the embedded server has")
def test_a_folder_that_a_server_has_is_refused(make_server: Callable[..., ServerProcess], fleet: Fleet) -> None:
    server = make_server().start()
    assert "owns the data folder" in Move(server.data_dir, fleet).fail()


def test_a_folder_without_a_catalogue_is_refused_and_not_made(tmp_path: Path, fleet: Fleet) -> None:
    assert "There is no catalogue to copy" in Move(tmp_path / "none", fleet).fail()
    assert not (tmp_path / "none").exists()


def test_the_records_of_every_resource_are_moved_and_those_of_one_that_is_not_declared_stop_it(
    tmp_path: Path, fleet: Fleet
) -> None:
    server = ServerProcess(tmp_path / "data", PYTHONPATH=PARCELS_PATH)
    server.program = PARCELS_APP
    server.start()
    create = 'createParcelSync(title: "Small") { success } createProductSync(title: "Lamp", price: 1) { success }'
    weigh = 'weighParcelSync(parcelId: 1, title: "Weighed", grams: 7) { success }'
    assert all(answer["success"] for answer in server.query(f"mutation {{ {create} {weigh} }}").values())
    server.stop()
    move = Move(tmp_path / "data", fleet)
    assert "has 1 record of Parcel, which the application does not declare" in move.fail()
    move.succeed("--app", "parcels_app", PYTHONPATH=PARCELS_PATH)
    assert fleet.rows("SELECT id, title, weight, version FROM afterwrite.parcels") == [(1, "Weighed", 7, 2)]
    moved = fleet.server(PYTHONPATH=PARCELS_PATH)
    moved.program = PARCELS_APP
    moved.start()
    made = moved.query('mutation { createParcelSync(title: "Next") { parcel { id } } }')
    assert made["createParcelSync"]["parcel"]["id"] == "2"
    found = moved.query('{ allProducts { title } allParcels(search: "weighed") { title } }')
    assert found == {"allProducts": [{"title": "Lamp"}], "allParcels": [{"title": "Weighed"}]}


def test_without_a_database_it_says_which_setting_is_missing(tmp_path: Path) -> None:
    assert "DATABASE_URL is not set" in Move(tmp_path, Fleet(tmp_path, "")).fail()
