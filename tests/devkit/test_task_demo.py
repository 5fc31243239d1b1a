"""Tests what shows tasks to a newcomer: the demo runs six until they end, and GraphiQL has examples that work."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from server_process import ROOT, ServerProcess
from stripe_fake import KEY, Answer, canned
from task_calls import execute

pytestmark = pytest.mark.one_database("a program that only asks over HTTP")

COMMAND = [sys.executable, "-m", "devkit.task_demo"]
PAYMENTS = ["customer", "payment", "refund"]
LABELS = [*PAYMENTS, "entry 1", "entry 2", "entry 3"]
COMPLETED = re.compile(r"  ([a-z]+(?: \d)?) +\[############\] 100 % COMPLETED(?:  ?(\w+))?")
SIMULATED = "The payments were simulated: no STRIPE_SECRET_KEY is set"


def environment_of(server: ServerProcess, **more: str) -> dict[str, str]:
    return os.environ | {"DATA_DIR": str(server.data_dir), "PORT": str(server.port)} | more


def run_demo(server: ServerProcess) -> "subprocess.CompletedProcess[str]":
    """Run the demo with its output going to a file."""
    environment = environment_of(server)
    return subprocess.run(COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def screen_after_screen(server: ServerProcess, columns: int) -> tuple[int, list[list[str]]]:
    """Run the demo in a terminal; return its exit code and the lines of each time it drew them."""
    if sys.platform == "win32":
        pytest.skip("there are no such terminals on Windows")
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = environment_of(server, TERM="xterm")
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:
        assert process.wait(60) is not None  # Linux tells of a closed terminal by an error
    finally:
        os.close(ours)
    draws = re.split(rf"\x1b\[{len(LABELS)}A", shown.decode().replace("\r\n", "\n"))
    return process.wait(60), [draw.replace("\x1b[2K", "").splitlines() for draw in draws]


def test_six_tasks_are_shown_until_they_are_completed(make_server: Callable[..., ServerProcess]) -> None:
    server = make_server(STAGE_SECONDS="0").start()
    done = run_demo(server)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    ended = {found[1]: found[2] for line in lines if (found := COMPLETED.fullmatch(line))}
    assert sorted(ended) == sorted(LABELS)
    assert [str(ended[label])[:3] for label in PAYMENTS] == ["cus", "pi_", "re_"]
    assert lines[-1] == SIMULATED
    types = server.query("{ tasks(status: COMPLETED) { nodes { type } } }")["tasks"]["nodes"]
    assert len(types) == len(LABELS)


@pytest.mark.parametrize("columns", [80, 50])
def test_in_a_terminal_the_lines_are_drawn_in_place(make_server: Callable[..., ServerProcess], columns: int) -> None:
    code, screens = screen_after_screen(make_server(STAGE_SECONDS="1").start(), columns)
    assert code == 0
    shown = {line.partition("]")[2].strip() for screen in screens for line in screen}
    assert any(line.startswith("33 %") for line in shown), "stages are shown as they are reached"
    assert any(line.startswith("66 %") for line in shown)
    assert screens[-1].pop() == SIMULATED
    for screen in screens:
        assert [line.split("[")[0].strip() for line in screen] == LABELS
        assert max(map(len, screen)) < columns
    assert all("100 % COMPLETED" in line for line in screens[-1])


def test_without_a_server_one_line_says_so(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    done = run_demo(server)
    assert (done.returncode, done.stdout) == (1, "")
    start = f"no server answers at {server.url} ("
    assert done.stderr.startswith(start)
    assert done.stderr.endswith("): start one with `start` or `up`\n")
    assert done.stderr.count("\n") == 1


def test_a_task_that_was_cancelled_makes_the_demo_fail(make_server: Callable[..., ServerProcess]) -> None:
    server = make_server(STAGE_SECONDS="0").start()
    server.query('mutation { pauseTaskType(type: "entry") { paused } }')
    environment = environment_of(server)
    with subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "entry" not in process.stdout.readline():
            assert process.poll() is None
        entries = server.query("{ entries { nodes { id } } }")["entries"]["nodes"]
        server.query(f'mutation {{ cancelTask(id: "{entries[0]["id"]}") {{ id }} }}')
        server.query('mutation { resumeTaskType(type: "entry") { paused } }')
        rest = process.stdout.read()
        assert process.wait(60) == 1
    assert re.search(r"^  entry \d  \[\.{12}\]   0 % CANCELLED$", rest, re.MULTILINE)


def test_a_payment_that_failed_is_told_with_its_reason(make_server: Callable[..., ServerProcess]) -> None:
    refusal = Answer(400, {"error": {"type": "invalid_request_error", "message": "Invalid email"}})
    with canned([refusal]) as stripe:
        server = make_server(STAGE_SECONDS="0", STRIPE_SECRET_KEY=KEY, STRIPE_API_BASE=stripe.url).start()
        done = run_demo(server)
    assert (done.returncode, done.stderr) == (1, "")
    [reason] = [line for line in done.stdout.splitlines() if line.startswith("The customer ended FAILED, ")]
    code = reason.removeprefix("The customer ended FAILED, ").partition(":")[0]
    assert re.search(rf"^  customer \[.*\] .* FAILED     {code}$", done.stdout, re.MULTILINE)
    assert done.stdout.count("100 % COMPLETED\n") == 3
    assert KEY not in done.stdout


def test_with_a_live_key_stripe_is_not_called(make_server: Callable[..., ServerProcess]) -> None:
    with canned([Answer(500, {})]) as stripe:
        settings = {"STRIPE_SECRET_KEY": "sk_live_nobody", "STRIPE_API_BASE": stripe.url}
        server = make_server(STAGE_SECONDS="0", **settings).start()
        done = run_demo(server)
        assert stripe.requests == []
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("STRIPE_SECRET_KEY is a live key: ")
    types = server.query("{ tasks { nodes { type } } }")["tasks"]["nodes"]
    assert {one["type"] for one in types} == {"entry"}


def test_every_example_of_graphiql_is_answered_without_errors(server: ServerProcess) -> None:
    examples = {
        path.name: path.read_text(encoding="utf-8")
        for path in (ROOT / "afterwrite/static/graphiql/examples").glob("*.graphql")
    }
    assert {"5-tasks.graphql", "6-progress.graphql"} <= examples.keys()
    for name, document in sorted(examples.items()):
        if "subscription" in document:  # it waits for the id of a write that the visitor puts in
            document = document.replace("subscription WatchWrite", "query").replace("writeSettled", "write")
        assert "errors" not in execute(server, document), name
