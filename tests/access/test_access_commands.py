"""The commands around keys, as processes: `key add`, `key list`, `key remove`, and what shows a key to a server."""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from access_site import KEYS, SECRETS
from server_process import ROOT, ServerProcess, wait_until

from afterwrite.access.roles import Role

pytestmark = pytest.mark.one_database("keys are files")

MakeServer = Callable[..., ServerProcess]


def run(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of the project, with the standard library only where that has to do."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "DATA_DIR": str(folder), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def key(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """``dev.py key``; without site packages, as on a machine where nothing is installed."""
    return run("-S", "dev.py", "key", *arguments, folder=folder, **environment)


def test_a_key_is_made_shown_once_listed_and_removed(tmp_path: Path) -> None:
    made = key("add", "ann", "--role", "write", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert re.fullmatch(r"aw_[\w-]{43}", secret)
    path = tmp_path / "api-keys"
    assert f"in {path}, and works at once" in made.stderr
    assert secret not in path.read_text()
    assert re.fullmatch(r"ann:write:sha256-[0-9a-f]{64}\n", path.read_text())
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    listed = key("list", folder=tmp_path, API_KEYS=KEYS)
    assert [line.split()[:2] for line in listed.stdout.splitlines()] == [
        ["read", "read"],
        ["write", "write"],
        ["admin", "admin"],
        ["ann", "write"],
    ]
    assert "sha256" not in listed.stdout

    removed = key("remove", "ann", folder=tmp_path)
    assert removed.returncode == 0
    assert path.read_text() == ""
    assert "There are no keys" in key("list", folder=tmp_path).stderr


def test_the_file_can_be_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "etc" / "keys"
    assert key("add", "ann", "--role", "read", folder=tmp_path, API_KEYS_FILE=str(elsewhere)).returncode == 0
    assert elsewhere.read_text().startswith("ann:read:")
    assert not (tmp_path / "api-keys").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("add", "an n", "--role", "read"), 1, "'an n' cannot name a key"),
        (("add", "ann", "--role", "owner"), 2, "invalid choice: 'owner'"),
        (("add", "ann"), 2, "--role"),
        (("add", "read", "--role", "read"), 1, "a key named 'read' in API_KEYS already"),
        (("remove", "read"), 1, "is in API_KEYS: remove it there and restart"),
        (("remove", "ann"), 1, "cannot be read"),
        ((), 2, "add | list | remove"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: tuple[str, ...], code: int, told: str) -> None:
    answer = key(*arguments, folder=tmp_path, API_KEYS=KEYS)
    assert answer.returncode == code
    assert told in answer.stderr
    assert answer.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_running_server_takes_the_key_at_once_and_the_commands_show_it(make_server: MakeServer) -> None:
    server = make_server(STAGE_SECONDS="0").start()
    place = {"PORT": str(server.port), "folder": server.data_dir}
    secret = key("add", "ann", "--role", "admin", folder=server.data_dir).stdout.strip()
    wait_until(lambda: server.get("/api/entries")[0] == 401)

    ask = ("-m", "devkit.ask", "{ queue { depth } }")
    refused = run(*ask, **place)  # type: ignore[arg-type]
    assert refused.returncode == 1
    assert "answered 401" in refused.stderr
    assert "put a key into the environment variable API_KEY" in refused.stderr
    answer = run(*ask, **place, API_KEY=secret)  # type: ignore[arg-type]
    assert (answer.returncode, '"depth": 0' in answer.stdout) == (0, True), answer.stderr
    demo = run("-m", "devkit.task_demo", **place, API_KEY=secret)  # type: ignore[arg-type]
    assert demo.returncode == 0, demo.stdout + demo.stderr

    # Whether it lives is told to everybody, also to the check of a container that has no key.
    assert run("-m", "devkit.health", **place).returncode == 0  # type: ignore[arg-type]
    assert run("-m", "devkit.health", **place, API_KEY="aw_wrong").returncode == 0  # type: ignore[arg-type]

    key("remove", "ann", folder=server.data_dir)
    client = server.client()
    ask_with_key = {"Authorization": f"Bearer {secret}"}
    wait_until(lambda: client.request("GET", "/api/entries", headers=ask_with_key)[0] == 401)
    client.close()
    again = run(*ask, **place, API_KEY=secret)  # type: ignore[arg-type]
    assert "put another key into API_KEY" in again.stderr


def test_the_integration_tests_need_an_administrators_key_and_say_so(make_server: MakeServer) -> None:
    server = make_server(API_KEYS=KEYS, STAGE_SECONDS="0").start()
    script = ("integration_test.py", "--url", server.url)
    for given in ((), ("--key", SECRETS[Role.READ])):
        refused = run(*script, *given, folder=server.data_dir)
        assert refused.returncode == 1
        assert "need a key with the role admin: give --key KEY, or set API_KEY" in refused.stdout
        assert "Traceback" not in refused.stderr
    passed = run(*script, folder=server.data_dir, API_KEY=SECRETS[Role.ADMIN])
    assert passed.returncode == 0, passed.stdout
