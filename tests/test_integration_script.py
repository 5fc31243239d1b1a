"""Tests integration_test.py: its three modes against a real server, and its words when there is none."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from server_process import ServerProcess, free_port
from stripe_fake import KEY, Answer, canned

from afterwrite.access.keys import Key, hash_of, new_secret
from afterwrite.access.roles import Role

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "integration_test.py"
TESTS = 20
TITLES = "{ allProducts(first: 500) { id title version } }"
UNENDED = "{ waiting: tasks(status: PENDING) { totalCount } running: tasks(status: PROCESSING) { totalCount } }"
CREATE_SYNC = "mutation ($title: String!) { createProductSync(title: $title, price: 379.99) { success } }"


@pytest.fixture
def server(make_server: Callable[..., ServerProcess]) -> ServerProcess:
    """A running server over an empty data folder, whose entries take no time."""
    return make_server(STAGE_SECONDS="0").start()


def broken_script(folder: Path, right: str, wrong: str) -> Path:
    """A copy of the script in which one of its checks expects something wrong."""
    text = SCRIPT.read_text(encoding="utf-8")
    assert text.count(right) == 1
    script = folder / "broken.py"
    script.write_text(text.replace(right, wrong), encoding="utf-8")
    return script


def run_script(*arguments: str, script: Path = SCRIPT, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the script as a user does, or another version of it."""
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,  # for a copy that lies elsewhere
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_quiet_mode_prints_one_line_a_test(server: ServerProcess) -> None:
    done = run_script("--url", server.url)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert len(lines) == TESTS + 1
    assert all(re.fullmatch(r"ok    [\w ]+ \(\d+ ms\)", line) for line in lines[:-1])
    assert re.fullmatch(rf"{TESTS} passed, 0 failed in [\d.]+ s", lines[-1])


@pytest.mark.one_database("what the program prints")
def test_products_with_the_titles_of_the_tests_stay_as_they_are(server: ServerProcess) -> None:
    for title in ("Lamp", "Lot 0", "After itest", "Page 0 pager itest0123456789"):
        server.query(CREATE_SYNC, {"title": title})
    before = server.query(TITLES)["allProducts"]
    done = run_script("--url", server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.query(TITLES)["allProducts"] == before


@pytest.mark.one_database("what the program prints")
def test_a_failed_test_is_named_and_leaves_no_product(server: ServerProcess, tmp_path: Path) -> None:
    script = broken_script(tmp_path, '"APPLIED"', '"GONE"')
    done = run_script("--url", server.url, script=script)
    assert done.returncode == 1
    assert f"\n{TESTS - 1} passed, 1 failed in " in done.stdout
    assert re.search(
        r"^FAIL  a create is answered with a receipt and applied \(\d+ ms\): .*'APPLIED'\), not .*'GONE'\)",
        done.stdout,
        re.MULTILINE,
    )
    assert server.query(TITLES)["allProducts"] == []


@pytest.mark.one_database("what the program prints")
def test_a_failed_test_leaves_no_task_that_waits_or_runs(server: ServerProcess, tmp_path: Path) -> None:
    script = broken_script(tmp_path, '(entry["status"], "CREATED")', '(entry["status"], "GONE")')
    done = run_script("--url", server.url, script=script)
    assert done.returncode == 1
    assert re.search(r"^FAIL  a scheduled entry is cancelled \(\d+ ms\): CREATED, not GONE", done.stdout, re.MULTILINE)
    assert "\nok    no task is left " in done.stdout
    assert server.query(UNENDED) == {"waiting": {"totalCount": 0}, "running": {"totalCount": 0}}
    assert server.query("{ tasks(status: CANCELLED) { totalCount } }") == {"tasks": {"totalCount": 1}}


def test_nothing_is_paid_at_a_server_that_does_not_simulate_payments(make_server: Callable[..., ServerProcess]) -> None:
    with canned([Answer(500, {})]) as stripe:
        server = make_server(STAGE_SECONDS="0", STRIPE_SECRET_KEY=KEY, STRIPE_API_BASE=stripe.url).start()
        done = run_script("--url", server.url)
        assert stripe.requests == []
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"\n{TESTS - 1} passed, 0 failed, 1 skipped in " in done.stdout
    skipped = r"^skip  a payment and its refund \(\d+ ms\): /health says that stripe is configured"
    assert re.search(skipped, done.stdout, re.MULTILINE)
    for task_type in ("stripe_create_customer", "stripe_create_payment", "stripe_refund_payment"):
        assert server.query(f'{{ tasks(type: "{task_type}") {{ totalCount }} }}') == {"tasks": {"totalCount": 0}}


@pytest.mark.one_database("what the program prints")
def test_the_verbose_mode_shows_each_request_and_response(server: ServerProcess) -> None:
    done = run_script("--verbose", PORT=str(server.port))
    assert done.returncode == 0, done.stdout + done.stderr
    requests = done.stdout.count("--- REQUEST ---\n")
    assert requests > TESTS
    assert done.stdout.count("--- RESPONSE ---\n") == requests
    assert "--- RESPONSE ---\n201 Created\n{\n" in done.stdout
    assert '--- EVENT ---\n{\n  "data": {\n    "taskUpdated": {\n' in done.stdout
    assert f"--- REQUEST ---\nGET {server.url}/health\n" in done.stdout
    assert re.search(r'"message": "Product \'Lamp itest\w+\' queued for creation"', done.stdout)
    assert "--- SERVER LOG" not in done.stdout


@pytest.mark.one_database("what the program prints")
def test_the_address_the_log_and_the_key_are_those_of_the_settings_file(
    make_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    secret = new_secret()
    key = Key("ann", Role.ADMIN, hash_of(secret)).line
    server = make_server(STAGE_SECONDS="0", API_KEYS=key).start()
    file = tmp_path / "some.env"
    file.write_text(f"PORT={server.port}\nDATA_DIR={server.data_dir}\nAPI_KEY={secret}\n", encoding="utf-8")
    done = run_script("--debug", ENV_FILE=str(file))
    assert done.returncode == 0, done.stdout
    assert f"lines of {server.data_dir / 'afterwrite.log'} ---" in done.stdout


def test_a_settings_file_that_cannot_be_used_is_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "some.env"
    file.write_text("PROT=1\n", encoding="utf-8")
    done = run_script(ENV_FILE=str(file))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == f"FAIL  {file}, line 1: there is no setting 'PROT'; did you mean PORT?\n"


@pytest.mark.one_database("what the program prints")
def test_the_debug_mode_ends_with_the_log_of_the_server(server: ServerProcess) -> None:
    done = run_script("--debug", "--url", server.url, DATA_DIR=str(server.data_dir))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--- REQUEST ---\n" in done.stdout
    assert done.stdout.count("--- SERVER LOG") == 1
    shown = done.stdout.partition("--- SERVER LOG")[2].splitlines()
    assert shown[1:-1]
    assert shown[1:-1] == server.log.splitlines()[-50:]


@pytest.mark.one_database("what the program prints")
def test_the_debug_mode_names_a_log_that_it_cannot_read(server: ServerProcess, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.log"
    done = run_script("--debug", "--url", server.url, "--log-file", str(missing))
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(missing) in done.stdout
    assert "give its path with --log-file" in done.stdout


@pytest.mark.parametrize("mode", [(), ("--verbose",), ("--debug",)])
def test_a_server_that_does_not_answer_is_one_clear_failure(mode: tuple[str, ...], tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = run_script("--url", url, *mode, DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == ""
    failures = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert len(failures) == 1
    assert failures[0].startswith(f"FAIL  {url} does not answer (")
    assert failures[0].endswith("start the server, or give --url http://HOST:PORT")


def test_an_address_that_is_none_is_one_clear_failure() -> None:
    done = run_script("--url", "localhost:5000")
    assert done.returncode == 1
    assert done.stdout == "FAIL  'localhost:5000' is not the address of a server: give --url http://HOST:PORT\n"
