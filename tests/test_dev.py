"""Tests dev.py: its command line, its environment, and the server that it starts and stops."""

import ast
import json
import os
import signal
import socket
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from database.sqlite.moved import mark_moved
from devkit import background_server, place, services
from devkit.command_line import VERBS
from devkit.errors import CommandError
from devkit.health import wait_until_healthy
from devkit.place import Place
from devkit.process_identity import lifetime

ROOT = Path(__file__).parent.parent
OF_BOTH = {"up", "start", "stop", "restart", "test", "test-verbose", "test-debug", "build", "clean", "fresh"}
OF_BOTH |= {"shell", "init-db", "logs", "graphql", "key", "demo"}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A place of its own; the server that a test leaves running on it is stopped."""
    found = place.temporary_place(tmp_path / "data")
    yield found
    if server := background_server.running(found):
        os.kill(server.pid, signal.SIGTERM)


def dev(here: Place, *arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "dev.py", *arguments],
        env=here.environment(),
        cwd=here.data_dir.parent,
        input=options.get("typed", ""),
        capture_output=True,
        text=True,
        timeout=120,
    )


def a_process_that_ended() -> tuple[int, str]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    born = lifetime(process.pid)
    process.communicate(b"\n")
    assert born is not None
    return process.pid, born


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


def test_a_setting_that_cannot_be_used_is_named_in_one_line(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    sources = [ROOT / f"{name}.py" for name in ("dev", "settings", "utf8", "durable_file")]
    sources += (ROOT / "devkit").glob("*.py")
    sources += [
        ROOT / "access" / f"{name}.py" for name in ("__init__", "roles", "keys", "key_file", "opening")
    ]
    ours = {"devkit", "settings", "access", "settings_file", "utf8", "durable_file"}
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


def test_start_refuses_a_port_that_another_program_has(here: Place) -> None:
    with socket.create_server(("127.0.0.1", here.port)):
        answer = dev(here, "start")
    assert answer.returncode == 1
    assert f"cannot listen on 127.0.0.1:{here.port}" in answer.stderr
    assert f"PORT={here.port + 1}" in answer.stderr


# The process that was recorded


def test_a_record_of_this_very_process_is_running(here: Place) -> None:
    made = background_server.record(here, os.getpid(), in_background=False)
    assert made is not None
    assert background_server.running(here) == made
    here.record_path.unlink()


def test_a_record_of_an_ended_process_is_not_running(here: Place) -> None:
    pid, born = a_process_that_ended()
    here.data_dir.mkdir()
    stale = {"pid": pid, "lifetime": born, "host": "127.0.0.1", "port": 1, "in_background": True}
    here.record_path.write_text(json.dumps(stale))
    assert background_server.running(here) is None


def test_another_process_with_the_recorded_pid_is_not_running(here: Place) -> None:
    background_server.record(here, os.getpid(), in_background=True)
    text = here.record_path.read_text()
    changed = json.loads(text) | {"lifetime": "of a process that had this pid before"}
    here.record_path.write_text(json.dumps(changed))
    assert background_server.running(here) is None
    assert dev(here, "stop").stdout == f"No server runs on {here.data_dir}\n"


@pytest.mark.parametrize("text", ["", "4711", "[]", '{"pid": 1}', "{"])
def test_a_record_that_cannot_be_read_is_not_running(here: Place, text: str) -> None:
    here.data_dir.mkdir()
    here.record_path.write_text(text)
    assert background_server.running(here) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no zombies and no ps")
def test_a_process_that_ended_but_was_not_collected_has_no_lifetime() -> None:
    from devkit.process_identity import from_ps

    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert lifetime(process.pid) is not None
    assert from_ps(process.pid) is not None
    assert process.stdin is not None
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, but not collected
    assert lifetime(process.pid) is None
    assert from_ps(process.pid) is None
    process.wait()


# Starting and stopping


def test_a_server_that_dies_is_reported_with_its_last_words(here: Place) -> None:
    with pytest.raises(CommandError, match=r"exit code 1 while it started(.|\n)*no such thing"):
        background_server.start(
            here, Path(sys.executable), program=["-c", "raise SystemExit('no such thing')"]
        )
    assert background_server.running(here) is None


SLOW = "import signal; print('replaying', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in server uses POSIX signals")
def test_a_server_that_is_slow_to_start_is_left_running_and_can_be_stopped(here: Place) -> None:
    with pytest.raises(CommandError, match=r"not ready after 0.5 s and goes on starting(.|\n)*replaying"):
        background_server.start(here, Path(sys.executable), 0.5, ["-c", SLOW])
    server = background_server.running(here)
    assert server is not None
    assert background_server.stop(here, server) < 10
    assert background_server.running(here) is None
    assert not here.record_path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in server uses POSIX signals")
def test_a_server_that_does_not_stop_is_named(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_server, "STOP_MARGIN_SECONDS", 0.3)
    here = Place(here.data_dir, here.host, here.port, stop_seconds=0)
    with pytest.raises(CommandError, match="not ready"):
        background_server.start(here, Path(sys.executable), 0.5, ["-c", STUBBORN])
    server = background_server.running(here)
    assert server is not None
    with pytest.raises(CommandError, match=rf"pid {server.pid}\) still runs"):
        background_server.stop(here, server)
    os.kill(server.pid, signal.SIGKILL)


def test_start_restart_and_stop_work_on_the_real_server(here: Place) -> None:
    started = dev(here, "start")
    assert started.returncode == 0, started.stderr
    assert f"Started: {here.url} (pid " in started.stdout
    first = background_server.running(here)
    assert first is not None

    again = dev(here, "start")
    assert (again.returncode, again.stdout) == (
        0,
        f"A server runs already: {here.url} (pid {first.pid}, in the background). "
        "Changed settings count after `dev.py restart`\n",
    )
    asked = dev(
        here, "graphql", "query ($n: Int) { allProducts(first: $n) { id } }", "--variables", '{"n": 1}'
    )
    assert asked.returncode == 0
    assert "allProducts" in json.loads(asked.stdout)["data"]
    created = dev(here, "graphql", 'mutation { createProduct(title: "x", price: 1) { write { id } } }')
    write = json.loads(created.stdout)["data"]["createProduct"]["write"]["id"]
    watched = dev(here, "graphql", f'subscription {{ writeSettled(id: "{write}") {{ id status }} }}')
    assert json.loads(watched.stdout)["data"]["writeSettled"] == {"id": write, "status": "APPLIED"}
    unknown = dev(here, "graphql", 'subscription { writeSettled(id: "1") { id } }')
    assert unknown.returncode == 1
    assert "there is no such write" in unknown.stdout
    refused = dev(here, "graphql", "{ nothing }")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["errors"]

    assert dev(here, "restart").returncode == 0
    second = background_server.running(here)
    assert second is not None
    assert second.pid != first.pid
    log = dev(here, "logs", "--no-follow").stdout
    assert log.count("serving on") == 2

    stopped = dev(here, "stop")
    assert stopped.returncode == 0
    assert f"Stopping the server (pid {second.pid})\nStopped after " in stopped.stdout
    assert background_server.running(here) is None
    assert dev(here, "stop").returncode == 0
    assert "no server answers" in dev(here, "graphql", "{ queue { depth } }").stderr


def test_a_restart_keeps_the_port_unless_another_one_is_asked_for(here: Place) -> None:
    assert dev(here, "start").returncode == 0
    environment = here.environment()
    del environment["PORT"]
    command = [sys.executable, str(ROOT / "dev.py"), "restart"]
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert f"Started: {here.url} (pid " in again.stdout, again.stderr
    assert dev(here, "stop").returncode == 0


@pytest.mark.parametrize("again", ["restart", "init-db"])
def test_settings_that_a_server_loses_when_it_is_started_again_are_named(here: Place, again: str) -> None:
    def run(verb: str, **given: str) -> str:
        command = [sys.executable, str(ROOT / "dev.py"), verb]
        environment = here.environment() | given
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    secret = "whsec_only_its_name_is_told"
    given = {"WEBHOOK_ALLOW_PRIVATE": "on", "WEBHOOK_SECRET": secret, "LOG_FORMAT": "text"}
    assert "without" not in run("start", **given)
    told = run(again, LOG_FORMAT="json")
    assert "Started without WEBHOOK_ALLOW_PRIVATE, WEBHOOK_SECRET, which it had: put lasting" in told
    assert secret not in told
    assert secret not in here.record_path.read_text()
    run("stop")


def test_the_record_of_an_older_version_is_read(here: Place) -> None:
    background_server.record(here, os.getpid(), in_background=True)
    older = json.loads(here.record_path.read_text())
    del older["settings"]
    here.record_path.write_text(json.dumps(older))
    server = background_server.running(here)
    assert server is not None
    assert background_server.lost_settings(server) == []
    here.record_path.unlink()


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to a process group")
def test_a_start_that_is_interrupted_leaves_no_server(here: Place) -> None:
    starting = subprocess.Popen(
        [sys.executable, ROOT / "dev.py", "start"],
        env=here.environment(),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    while not here.record_path.exists():
        assert starting.poll() is None
    os.killpg(starting.pid, signal.SIGINT)
    starting.communicate(timeout=60)
    assert starting.returncode == 130
    assert background_server.running(here) is None
    assert place.port_is_free(here.host, here.port)


def test_a_file_is_loaded_while_the_server_is_stopped_and_it_is_started_again(
    here: Place, tmp_path: Path
) -> None:
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
        ("app", "up"),
        ("worker", "worker"),
        ("consumer", "consumer"),
        ("notification", "notification"),
        ("dead_letters", "dead-letters"),
        ("init_db", "init-db"),
        ("migrate_to_postgres", "migrate-to-postgres"),
    ],
)
def test_a_program_of_a_python_without_packages_names_the_verb_in_one_line(program: str, verb: str) -> None:
    command = [sys.executable, "-S", str(ROOT / f"{program}.py"), "--help"]  # -S: no site-packages
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 1
    [line] = answer.stderr.splitlines()
    assert line.startswith(f"{program}: this Python ({sys.executable}) does not have the package ")
    assert f"run `python3 dev.py {verb}`" in line


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_up_serves_in_the_foreground_until_a_signal(here: Place, name: str) -> None:
    command = [sys.executable, str(ROOT / "dev.py"), "up"]
    with subprocess.Popen(
        command, env=here.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as up:
        assert wait_until_healthy(here, 60, alive=lambda: up.poll() is None)
        server = background_server.running(here)
        assert server is not None
        assert (server.pid, server.in_background) == (up.pid, False)
        assert "in the foreground" in dev(here, "start").stdout
        assert "runs in the foreground" in dev(here, "init-db").stderr
        up.send_signal(getattr(signal, name))
        output, _ = up.communicate(timeout=60)
    assert up.returncode == 0, output
    assert f"Starting {here.url}".encode() in output
    assert background_server.running(here) is None


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_start_works_after_the_server_was_killed(here: Place) -> None:
    assert dev(here, "start").returncode == 0
    server = background_server.running(here)
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    again = dev(here, "start")
    assert again.returncode == 0, again.stderr
    assert dev(here, "stop").returncode == 0


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
        services.migrate_to_postgres(Namespace(reopen=False))
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    background_server.record(here, os.getpid(), in_background=True)
    with pytest.raises(CommandError, match=rf"\(pid {os.getpid()}\): `stop` it first"):
        services.migrate_to_postgres(Namespace(reopen=False))
    here.record_path.unlink()


def test_logs_without_a_log_says_how_to_get_one(here: Place) -> None:
    assert (
        dev(here, "logs").stderr == f"dev.py logs: there is no log at {here.log_path} yet: `start` makes it\n"
    )
