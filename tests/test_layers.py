"""The floors of the house: imports point down only, SQL has its room, nothing happens at import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from server_process import ROOT

# From the top floor down; a room imports only from floors below its own. "root" is the application itself.
FLOORS = (
    {"root"},
    {"application"},
    {"graphql", "rest", "console", "programs"},
    {"service"},
    {"writes", "tasks"},
    {"reads", "jobs", "loading", "webhooks", "server"},
    {"storage", "access"},
    {"resources", "graphql_http"},
    {"base"},
)
FLOORS_MAX, ARROWS_MAX = 9, 91
APPLICATION = ("app", "async_db", "init_db", "product_types", "gunicorn.conf")  # the others are programs of their own
PACKAGE, DOOR = ROOT / "afterwrite", "the door"


def rooms() -> dict[str, list[Path]]:
    """The files of every room."""
    found = {"root": [ROOT / f"{name}.py" for name in APPLICATION]}
    for path in PACKAGE.rglob("*.py"):
        first = path.relative_to(PACKAGE).parts[0]
        if first != "__init__.py":  # the door, which names what an application needs
            found.setdefault("programs" if first == "__main__.py" else first, []).append(path)
    return found


def arrows() -> set[tuple[str, str]]:
    """Which room imports from which other one, wherever in a file."""
    found = {
        (room, other)
        for room, paths in rooms().items()
        for path in paths
        for other in imported_rooms(path)
        if other != room
    }
    assert {room for room, other in found if other == DOOR} <= {"root"}
    return {(room, other) for room, other in found if other != DOOR}


def imported_rooms(path: Path) -> set[str]:
    """The rooms from which a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    found = {name.split(".")[1] for name in names if name.startswith("afterwrite.")}
    return {name if (PACKAGE / name).is_dir() else DOOR for name in found}


def test_every_room_has_its_floor() -> None:
    assert set(rooms()) == set().union(*FLOORS)
    assert len(FLOORS) <= FLOORS_MAX, len(FLOORS)


def test_imports_point_down_only(capsys: pytest.CaptureFixture[str]) -> None:
    floor_of = {name: number for number, names in enumerate(FLOORS) for name in names}
    found = arrows()
    with capsys.disabled():
        sys.stdout.write(f"\n{len(rooms())} rooms on {len(FLOORS)} floors, {len(found)} arrows\n")
    assert {(above, below) for above, below in found if floor_of[below] <= floor_of[above]} == set()
    assert len(found) <= ARROWS_MAX


def test_graphql_over_http_knows_nothing_of_ours() -> None:
    assert {other for room, other in arrows() if room == "graphql_http"} == set()


@pytest.mark.parametrize("word", ["SELECT ", "INSERT INTO", "DELETE FROM", "PRAGMA ", "BEGIN IMMEDIATE"])
def test_sql_is_in_the_storage_room_only(word: str) -> None:
    for name, paths in rooms().items():
        if name == "storage":
            continue
        for path in paths:
            texts = [
                node.value
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            ]
            assert not [text for text in texts if text.lstrip().startswith(word)], path


def test_only_the_settings_read_the_environment() -> None:
    # serving hands the whole environment on to gunicorn, which tells its worker where it listens; utf8 sets what Python
    # itself reads
    readers = {"settings", "settings_file", "utf8", "serving", "gunicorn_settings"}
    for paths in rooms().values():
        for path in paths:
            if path.stem not in readers:
                source = path.read_text(encoding="utf-8")
                assert "os.environ" not in source, path
                assert "getenv" not in source, path


def test_importing_starts_no_thread_and_writes_no_file(tmp_path: Path) -> None:
    names = ["app", "async_db", "init_db", "product_types"]
    for path in PACKAGE.rglob("*.py"):
        # A program; settings that check gunicorn's command line; urllib3 behind stripe probes for IPv6 when imported.
        if path.stem in ("__main__", "gunicorn_settings", "stripe_calls") or "dags" in path.parts:
            continue
        names += [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")]
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
for name in {sorted(names)!r}:
    __import__(name)
assert opened == [], opened
assert threading.active_count() == 1, threading.enumerate()
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert list(tmp_path.iterdir()) == []
