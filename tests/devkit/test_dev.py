"""Tests the command line of dev.py, and the commands that need no server of their own."""

import ast
import json
import os
import socket
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest
from dev_commands import ROOT, dev, throw_away_place

from afterwrite.storage.sqlite.moved import mark_moved
from devkit import background_server, place, verbs
from devkit.command_line import VERBS
from devkit.errors import CommandError
from devkit.place import Place

OF_BOTH = {"up", "start", "stop", "restart", "test", "test-verbose", "test-debug", "build", "clean", "fresh"}
OF_BOTH |= {"shell", "init-db", "logs", "graphql", "key", "demo"}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A place of its own; the server that a test leaves running on it is stopped."""
    with throw_away_place(tmp_path / "data") as found:
        yield found


# The command line


def test_without_a_verb_every_verb_is_listed(here: Place) -> None:
    answer = dev(here)
    listed = [line.split()[0] for line in answer.stdout.splitlines() if line.startswith("  ")]
    assert answer.returncode == 0
    assert listed == list(VERBS)
    assert set(listed) == OF_BOTH | {
        "setup",
        "check",
        "bench",
        "screenshots",
        "worker",
        "consumer",
        "notification",
        "dead-letters",
        "migrate",
        "migrate-to-postgres",
    }


def test_an_unknown_verb_is_refused_with_the_nearest_one(here: Place) -> None:
    answer = dev(here, "strat")
    assert answer.returncode == 2
    assert answer.stderr == "dev.py: there is no verb 'strat'; did you mean start?\n"


def test_an_argument_too_many_is_refused(here: Place) -> None:
    answer = dev(here, "stop", "now")
    assert answer.returncode == 2
    assert "unrecognized arguments: now" in answer.stderr


def test_a_setting_that_cannot_be_used_is_named_in_one_line(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADS", "many")
    answer = dev(here, "stop")
    assert answer.returncode == 1
    assert answer.stderr.startswith("dev.py stop: THREADS='many'")
    assert answer.stderr.count("\n") == 1


def test_an_old_python_is_told_what_is_needed() -> None:
    run_it = "import sys, runpy; sys.version_info = (3, 9); runpy.run_path('dev.py', run_name='__main__')"
    answer = subprocess.run([sys.executable, "-c", run_it], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr.startswith("Afterwrite needs Python 3.11 or later; this is Python 3.9")


def test_only_the_standard_library_is_imported() -> None:
    engine = ROOT / "afterwrite"
    sources = [ROOT / "dev.py", engine / "__init__.py", engine / "programs" / "key.py"]
    sources += (ROOT / "devkit").glob("*.py")
    sources += [engine / "base" / f"{name}.py" for name in ("settings", "utf8", "durable_file", "own_command")]
    sources += [engine / "access" / f"{name}.py" for name in ("__init__", "roles", "keys", "key_file", "opening")]
    ours = {"devkit", "afterwrite"}
    for source in sources:
        if source.name in ("shell_names.py", "screenshots.py", "browser.py"):
            continue  # run in the environment that dev.py has made
        tree = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        found = {name.name for node in tree if isinstance(node, ast.Import) for name in node.names}
        tree = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        found |= {node.module or "" for node in tree if isinstance(node, ast.ImportFrom)}
        strange = {name.partition(".")[0] for name in found} - set(sys.stdlib_module_names) - ours
        assert not strange, source


# Where the server lives


def test_the_default_data_folder_is_the_projects_wherever_dev_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATA_DIR", raising=False)
    assert place.place_from_environment().data_dir == ROOT / "data"
    monkeypatch.setenv("DATA_DIR", "mine")
    assert place.place_from_environment().data_dir == tmp_path / "mine"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:5000"),
        ("0.0.0.0", "http://127.0.0.1:5000"),
        ("::", "http://[::1]:5000"),
        ("shop.example", "http://shop.example:5000"),
    ],
)
def test_the_address_to_print_can_be_opened(host: str, url: str) -> None:
    assert Place(Path("data"), host, 5000).url == url


def test_a_port_is_free_until_something_listens() -> None:
    port = place.free_port("127.0.0.1")
    assert place.port_is_free("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)):
        assert not place.port_is_free("127.0.0.1", port)


# The programs that it starts


def test_a_file_is_loaded_while_the_server_is_stopped_and_it_is_started_again(here: Place, tmp_path: Path) -> None:
    (tmp_path / "feed.jsonl").write_text('{"title": "Wool Blanket", "price": 49.5}\n')
    assert dev(here, "start").returncode == 0
    loaded = dev(here, "init-db", "feed.jsonl")
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.index("Stopped after") < loaded.stdout.index("Started: ")
    asked = dev(here, "graphql", '{ allProducts(search: "Wool Blanket") { price } }')
    assert json.loads(asked.stdout)["data"]["allProducts"] == [{"price": 49.5}]
    for name, told in (
        ("nothing.csv", "init_db: nothing.csv cannot be opened: No such file"),
        ("notes.csv", "init_db: notes.csv has no column title (or name) and price"),
    ):
        (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
        refused = dev(here, "init-db", name)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith(told)
    assert "Stopped after" in dev(here, "stop").stdout


def test_the_options_of_init_db_go_through_dev_py(here: Place, tmp_path: Path) -> None:
    asked = dev(here, "init-db", "--help")
    assert asked.returncode == 0
    assert "ratingCount" in asked.stdout
    assert "--decimal" in asked.stdout
    (tmp_path / "feed.csv").write_text("title;price\nLamp;1.500\nDesk;x\n")
    assert dev(here, "init-db", "feed.csv", "--decimal", "comma", "--report", "no.jsonl").returncode == 0
    assert '"line": 3' in (tmp_path / "no.jsonl").read_text()


@pytest.mark.parametrize(
    ("program", "verb"),
    [
        ("app.py", "up"),
        ("init_db.py", "init-db"),
        ("-m afterwrite worker", "worker"),
        ("-m afterwrite consumer", "consumer"),
        ("-m afterwrite notification", "notification"),
        ("-m afterwrite dead-letters", "dead-letters"),
        ("-m afterwrite migrate", "migrate"),
        ("-m afterwrite migrate-to-postgres", "migrate-to-postgres"),
    ],
)
def test_a_program_of_a_python_without_packages_names_the_verb_in_one_line(program: str, verb: str) -> None:
    command = [sys.executable, "-S", *program.split(), "--help"]  # -S: no site-packages
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 1
    [line] = answer.stderr.splitlines()
    name = program.split()[-1].removesuffix(".py")
    assert line.startswith(f"{name}: this Python ({sys.executable}) does not have the package ")
    assert f"run `python3 dev.py {verb}`" in line


def test_the_shell_has_settings_engine_and_schema_at_hand(here: Place) -> None:
    assert dev(here, "init-db").returncode == 0
    answer = dev(
        here,
        "shell",
        typed="print(settings.port, 'createProduct' in str(schema), len(sql('SELECT 1')), "
        "query('{ product(productId: 1) { id } }'))\n",
    )
    assert f"{here.port} True 1 {{'product': {{'id': '1'}}}}" in answer.stdout, answer.stderr


def test_the_shell_of_a_folder_that_was_moved_ends_with_one_line(here: Place) -> None:
    assert dev(here, "init-db").returncode == 0
    mark_moved(here.data_dir / "products.db", "postgresql://db.example/afterwrite")
    answer = dev(here, "shell", typed="print('a prompt')\n")
    assert answer.returncode == 1
    assert "a prompt" not in answer.stdout
    told = f"dev.py shell: The data in {here.data_dir} was moved to postgresql://db.example/afterwrite: "
    assert answer.stderr.startswith(told)
    assert answer.stderr.count("\n") == 1, answer.stderr


def test_build_compiles_every_source(here: Place) -> None:
    answer = dev(here, "build")
    assert answer.returncode == 0, answer.stdout
    assert answer.stdout.startswith("Compiled ")


# Removing and following


def test_clean_removes_nothing_where_nobody_can_be_asked(here: Place) -> None:
    here.data_dir.mkdir()
    (here.data_dir / "journal.db").touch()
    answer = dev(here, "clean")
    assert answer.returncode == 1
    assert str(here.data_dir) in answer.stdout
    assert "add --yes" in answer.stderr
    assert (here.data_dir / "journal.db").exists()


def test_a_move_to_postgresql_needs_an_address_and_a_folder_without_a_server(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(here.data_dir))
    monkeypatch.setenv("DATABASE_URL", "")
    with pytest.raises(CommandError, match="DATABASE_URL is not set"):
        verbs.migrate_to_postgres(Namespace(reopen=False))
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    background_server.record(here, os.getpid(), in_background=True)
    with pytest.raises(CommandError, match=rf"\(pid {os.getpid()}\): `stop` it first"):
        verbs.migrate_to_postgres(Namespace(reopen=False))
    here.record_path.unlink()


def test_logs_without_a_log_says_how_to_get_one(here: Place) -> None:
    assert dev(here, "logs").stderr == f"dev.py logs: there is no log at {here.log_path} yet: `start` creates it\n"
