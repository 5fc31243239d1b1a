"""Tests the server that dev.py starts, finds by its record, restarts and stops."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dev_commands import ROOT, dev, throw_away_place

from devkit import background_server, place
from devkit.errors import CommandError
from devkit.health import wait_until_healthy
from devkit.place import Place
from devkit.process_identity import lifetime

SLOW = "import signal; print('replaying', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A place of its own; the server that a test leaves running on it is stopped."""
    with throw_away_place(tmp_path / "data") as found:
        yield found


def a_process_that_ended() -> tuple[int, str]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    born = lifetime(process.pid)
    process.communicate(b"\n")
    assert born is not None
    return process.pid, born


def test_start_refuses_a_port_that_another_program_has(here: Place) -> None:
    with socket.create_server(("127.0.0.1", here.port)):
        answer = dev(here, "start")
    assert answer.returncode == 1
    assert f"cannot listen on 127.0.0.1:{here.port}" in answer.stderr
    assert f"PORT={here.port + 1}" in answer.stderr


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
    assert dev(here, "stop").stdout == f"No server is running on {here.data_dir}\n"


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


def test_a_server_that_dies_is_reported_with_its_last_words(here: Place) -> None:
    with pytest.raises(CommandError, match=r"exit code 1 during startup(.|\n)*no such thing"):
        background_server.start(here, Path(sys.executable), program=["-c", "raise SystemExit('no such thing')"])
    assert background_server.running(here) is None


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in server uses POSIX signals")
def test_a_server_that_is_slow_to_start_is_left_running_and_can_be_stopped(here: Place) -> None:
    with pytest.raises(CommandError, match=r"not ready after 0.5 s and is still starting(.|\n)*replaying"):
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
        f"A server is already running: {here.url} (pid {first.pid}, in the background). "
        "Apply changed settings with `dev.py restart`\n",
    )
    asked = dev(here, "graphql", "query ($n: Int) { allProducts(first: $n) { id } }", "--variables", '{"n": 1}')
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
    assert "Started without WEBHOOK_ALLOW_PRIVATE, WEBHOOK_SECRET, which it had before: put permanent" in told
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


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_start_works_after_the_server_was_killed(here: Place) -> None:
    assert dev(here, "start").returncode == 0
    server = background_server.running(here)
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    again = dev(here, "start")
    assert again.returncode == 0, again.stderr
    assert dev(here, "stop").returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_up_serves_in_the_foreground_until_a_signal(here: Place, name: str) -> None:
    command = [sys.executable, str(ROOT / "dev.py"), "up"]
    with subprocess.Popen(command, env=here.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as up:
        assert wait_until_healthy(here, 60, alive=lambda: up.poll() is None)
        server = background_server.running(here)
        assert server is not None
        assert (server.pid, server.in_background) == (up.pid, False)
        assert "in the foreground" in dev(here, "start").stdout
        assert "is running in the foreground" in dev(here, "init-db").stderr
        up.send_signal(getattr(signal, name))
        output, _ = up.communicate(timeout=60)
    assert up.returncode == 0, output
    assert f"Starting {here.url}".encode() in output
    assert background_server.running(here) is None
