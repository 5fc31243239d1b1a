"""The rooms of the house: imports point down only, SQL has its rooms, nothing happens at import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from server_process import ROOT

# From the top floor down; a module imports only from floors below its own.
FLOORS = (
    {"app", "serving", "gunicorn.conf", "consumer", "notification", "dead_letters"},
    {"worker"},
    {"routes"},
    {"gate"},
    {"rest_api", "console", "health_server"},
    {"schema", "init_db", "migrate_to_postgres", "service"},
    {"product_mutations", "product_events", "task_mutations", "task_events"},
    {"product_requests", "product_types", "task_types", "loading", "metrics", "recent", "programs"},
    {"logs"},
    {"product_pages", "task_requests", "task_action_types"},
    {"entries", "request_context"},
    {"async_db", "tasks", "connections", "graphql_scalars", "strict_json", "slow_clients"},
    {"accepting", "waiting", "webhooks", "access", "stack"},
    {"database"},
    {"writes", "background", "graphql_http", "settings", "time_ordered", "tracing", "durable_file"},
    {"processing", "settings_file", "utf8"},
    {"product"},
)
OUTSIDE = {"dev", "devkit", "integration_test", "bench"}  # programs of their own
# An application is handed to its HTTP server by name, and the server calls back at its end. Both have the same limits.
KNOWN_UPWARD = {
    ("serving", "app"),
    ("gunicorn.conf", "app"),
    ("gunicorn.conf", "serving"),
    ("app", "serving"),
}


def modules() -> dict[str, list[Path]]:
    """Every room at the root: a module, or a package with its files."""
    found = {path.stem: [path] for path in ROOT.glob("*.py")}
    for package in ROOT.glob("*/__init__.py"):
        found[package.parent.name] = sorted(package.parent.rglob("*.py"))
    return {name: paths for name, paths in found.items() if name != "tests"}


def imported(path: Path) -> set[str]:
    """The first names of everything that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_every_room_has_its_floor() -> None:
    known = set().union(*FLOORS) | OUTSIDE
    assert set(modules()) == known


def test_imports_point_down_only() -> None:
    floor_of = {name: number for number, names in enumerate(FLOORS) for name in names}
    upward = set()
    for name, paths in modules().items():
        if name in OUTSIDE:
            continue
        for other in set().union(*map(imported, paths)) & set(floor_of) - {name}:
            if floor_of[other] <= floor_of[name]:
                upward.add((name, other))
    assert upward <= KNOWN_UPWARD


def test_graphql_over_http_knows_no_products() -> None:
    rooms = set(modules()) - {"graphql_http"}
    for path in modules()["graphql_http"]:
        assert not imported(path) & rooms, path


@pytest.mark.parametrize("word", ["SELECT ", "INSERT INTO", "DELETE FROM", "PRAGMA ", "BEGIN IMMEDIATE"])
def test_sql_is_in_the_database_room_only(word: str) -> None:
    for name, paths in modules().items():
        if name in {"database", *OUTSIDE}:
            continue
        for path in paths:
            texts = [
                node.value
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            ]
            assert not [text for text in texts if text.lstrip().startswith(word)], path


def test_only_the_settings_read_the_environment() -> None:
    # serving hands the whole environment on to gunicorn, which tells its worker where it listens; utf8
    # sets what Python itself reads
    readers = {"settings", "serving", "gunicorn.conf", "settings_file", "utf8"}
    for name, paths in modules().items():
        if name in OUTSIDE | readers:
            continue
        for path in paths:
            source = path.read_text(encoding="utf-8")
            assert "os.environ" not in source, path
            assert "getenv" not in source, path


def test_importing_starts_no_thread_and_writes_no_file(tmp_path: Path) -> None:
    names = sorted(set().union(*FLOORS) - {"gunicorn.conf"})
    script = f"""
import sys, threading
sys.path.insert(0, {str(ROOT)!r})
sys.dont_write_bytecode = True
opened = []
def audit(event, arguments):
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        opened.append(arguments[0])
    if event in ("socket.bind", "socket.connect", "sqlite3.connect"):
        opened.append(event)
sys.addaudithook(audit)
for name in {names!r}:
    __import__(name)
assert opened == [], opened
assert threading.active_count() == 1, threading.enumerate()
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert list(tmp_path.iterdir()) == []
