"""Tests integration_test.py: its three modes against a real server, and its words when there is none."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ServerProcess, free_port

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "integration_test.py"
TESTS = 17
TITLES = "{ allProducts(first: 500) { id title version } }"
CREATE_SYNC = "mutation ($title: String!) { createProductSync(title: $title, price: 379.99) { success } }"


def run_script(
    *arguments: str, script: Path = SCRIPT, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run the script as a user does, or another version of it."""
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=ROOT,
        env=os.environ | environment,
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


def test_products_with_the_titles_of_the_tests_stay_as_they_are(server: ServerProcess) -> None:
    for title in ("MacBook Pro M3", "Sony Headphones", "Updated Title"):
        server.query(CREATE_SYNC, {"title": title})
    before = server.query(TITLES)["allProducts"]
    done = run_script("--url", server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.query(TITLES)["allProducts"] == before


def test_a_failed_test_is_named_and_leaves_no_product(server: ServerProcess, tmp_path: Path) -> None:
    broken = SCRIPT.read_text().replace('"count": 342}', '"count": 343}')
    script = tmp_path / "broken.py"
    script.write_text(broken)
    done = run_script("--url", server.url, script=script)
    assert done.returncode == 1
    assert f"\n{TESTS - 1} passed, 1 failed in " in done.stdout
    assert re.search(
        r"^FAIL  the async create is applied with all fields \(\d+ ms\): no product has \{'title'",
        done.stdout,
        re.MULTILINE,
    )
    assert server.query(TITLES)["allProducts"] == []


def test_the_verbose_mode_shows_each_request_and_response(server: ServerProcess) -> None:
    done = run_script("--verbose", PORT=str(server.port))
    assert done.returncode == 0, done.stdout + done.stderr
    requests = done.stdout.count("--- REQUEST ---\n")
    assert requests > TESTS
    assert done.stdout.count("--- RESPONSE ---\n200 OK\n{\n") == requests
    assert f"--- REQUEST ---\nGET {server.url}/health\n" in done.stdout
    assert '"message": "Product \'MacBook Pro M3\' queued for creation"' in done.stdout
    assert "--- SERVER LOG" not in done.stdout


def test_the_debug_mode_ends_with_the_log_of_the_server(server: ServerProcess) -> None:
    done = run_script("--debug", "--url", server.url, DATA_DIR=str(server.data_dir))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--- REQUEST ---\n" in done.stdout
    assert done.stdout.count("--- SERVER LOG") == 1
    shown = done.stdout.partition("--- SERVER LOG")[2].splitlines()
    assert shown[1:-1]
    assert shown[1:-1] == server.log.splitlines()[-50:]


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
    assert done.stdout == "FAIL  'localhost:5000' is no address of a server: give --url http://HOST:PORT\n"
