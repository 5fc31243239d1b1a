"""The first resource of docs/resources.md, step by step from an empty folder and the installed package."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from installed_package import Installation, build_wheel
from server_process import ROOT, wait_until

PAGE = (ROOT / "docs" / "resources.md").read_text(encoding="utf-8").partition("## Fields")[0]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
INSTALL, APPLICATION, SERVE, CREATE, CREATED, BOOK, BOOKED, REFUSED = (text for _language, text in BLOCKS)
FLOOR = re.search(r"`(floor = .*?)`", PAGE)

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the page has commands of a POSIX shell"),
    pytest.mark.one_database("the steps of a newcomer, who has none"),
]


@pytest.fixture
def room(tmp_path: Path) -> Installation:
    """An empty folder beside the installed package, with the application of the page."""
    assert INSTALL.splitlines() == ["python3 -m venv .venv && . .venv/bin/activate", "pip install ."]
    (tmp_path / "wheel").mkdir()
    made = Installation(build_wheel(tmp_path / "wheel"), tmp_path)
    (made.folder / "app.py").write_text(APPLICATION, encoding="utf-8")
    return made


@contextlib.contextmanager
def _serving(room: Installation) -> Iterator[None]:
    server = room.start(*SERVE.split())
    try:
        wait_until(lambda: server.poll() is not None or room.answers(), timeout=120)
        assert server.poll() is None, server.communicate()
        yield
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
        server.communicate()


def _said(room: Installation, commands: str) -> str:
    run = subprocess.run(
        ["bash", "-ec", commands.replace(":5000", f":{room.port}")],
        cwd=room.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_newcomer_declares_a_resource_and_changes_it(room: Installation) -> None:
    with _serving(room):
        assert json.loads(_said(room, CREATE)) == json.loads(CREATED)
        booked, expected = json.loads(_said(room, BOOK)), json.loads(BOOKED)
        assert booked | {"createdAt": "…", "updatedAt": "…"} == expected
        wrong, late = (json.loads(_said(room, line)) for line in REFUSED.splitlines())
        assert (wrong["status"], wrong["errors"][0]["pointer"]) == (422, "#/beds")
        assert (late["status"], late["code"]) == (409, "TOO_LONG_A_STAY")
        assert "Rooms" in _said(room, "curl -s http://127.0.0.1:5000/")
    assert FLOOR is not None
    first = '    """A room of the hotel."""\n'
    changed = APPLICATION.replace(first, f"{first}\n    {FLOOR[1]}\n")
    (room.folder / "app.py").write_text(changed, encoding="utf-8")
    with _serving(room):
        assert json.loads(_said(room, "curl -s 'http://127.0.0.1:5000/api/rooms/1'"))["floor"] is None
        assert json.loads(_said(room, "curl -s 'http://127.0.0.1:5000/api/rooms?floor=3'"))["rooms"] == []
