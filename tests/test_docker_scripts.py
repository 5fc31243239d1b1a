"""Tests the Docker files: both scripts run the same commands, and docker.sh runs those that it shows."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from settings import Settings

ROOT = Path(__file__).parent.parent
VERBS = {"up", "start", "stop", "restart", "test", "test-verbose", "test-debug", "build", "clean", "fresh"}
VERBS |= {"shell", "init-db", "logs", "graphql", "key", "demo"}
SCRIPTS = ("docker.sh", "docker.bat")
STEP = re.compile(r"(docker|compose|wait_ready|confirm|require_file)\b")

Steps = dict[str, list[str]]


def steps_of_shell_script() -> Steps:
    """The steps of each verb of docker.sh, and of `wait_ready`."""
    text = (ROOT / "docker.sh").read_text(encoding="utf-8")
    arms = re.findall(r"^    ([a-z-]+)\)\n(.*?)^        ;;", text, re.MULTILINE | re.DOTALL)
    functions = re.findall(r"^(wait_ready)\(\) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    return {name: _steps(body, _plain_shell) for name, body in [*arms, *functions]}


def steps_of_batch_file() -> Steps:
    """The same of docker.bat; a verb's inner labels belong to it."""
    text = (ROOT / "docker.bat").read_text(encoding="utf-8")
    parts = re.findall(r"^:([a-z_-]+)\n(.*?)(?=^:|\Z)", text, re.MULTILINE | re.DOTALL)
    found: Steps = {}
    for label, body in parts:
        name = next((verb for verb in ("init-db", "graphql") if label.startswith(verb)), label)
        found.setdefault(name, []).extend(_steps(body, _plain_batch))
    return found


def _steps(body: str, plain: Callable[[str], str]) -> list[str]:
    return [line for line in map(plain, body.splitlines()) if STEP.match(line)]


def _plain_shell(line: str) -> str:
    line = line.strip().removesuffix(" || code=$?").replace("$file", "FILE").replace("$name", "NAME")
    return line.replace('"$@"', "REST").replace("confirm REST", "confirm").replace(' "FILE"', "")


def _plain_batch(line: str) -> str:
    line = line.replace("%COMPOSE%", "compose").replace("docker.exe", "docker").removeprefix("call :")
    line = re.sub(r' \|\| (exit /b 1|set "CODE=1")$', "", line)
    return line.replace("%FILE%", "FILE").replace("%NAME%", "NAME").replace("%REST%", "REST")


def test_both_scripts_run_the_same_commands_for_every_verb() -> None:
    shell, batch = steps_of_shell_script(), steps_of_batch_file()
    assert shell.keys() >= VERBS
    for name in {*VERBS, "wait_ready"}:
        assert shell[name] == batch[name], name
        assert shell[name] or name == "graphql", name


def test_both_scripts_go_on_after_the_same_failures() -> None:
    shell = [line for line in _lines("docker.sh") if line.endswith("|| code=$?")]
    batch = [line for line in _lines("docker.bat") if line.endswith('|| set "CODE=1"')]
    assert [_plain_shell(line) for line in shell] == [_plain_batch(line) for line in batch]
    assert len(shell) == 4


def test_every_command_of_the_batch_file_stops_at_a_failure_or_notes_it() -> None:
    for line in _lines("docker.bat"):
        if line.startswith(("%COMPOSE% ", "docker.exe build", "call :")):
            assert line.endswith((" || exit /b 1", ' || set "CODE=1"')), line


def test_the_batch_file_never_calls_itself() -> None:
    """In its own folder the bare name `docker` is docker.bat."""
    assert not [line for line in _lines("docker.bat") if re.match(r"(call )?docker[ -]", line)]


def test_both_scripts_print_the_same_help() -> None:
    text = "\n".join(_lines("docker.sh"))
    shell = text.partition("<<'END'\n")[2].partition("\nEND")[0].splitlines()
    after = (ROOT / "docker.bat").read_text(encoding="utf-8").partition("\n:help\n")[2].splitlines()
    batch = [line.removeprefix("echo").removeprefix(".").removeprefix(" ") for line in after[:-1]]
    assert [line.strip() for line in batch] == [line.replace("docker.sh", "docker.bat") for line in shell]
    verbs, _, settings = "\n".join(shell[2:]).partition("\n\n")
    assert {line.split()[0] for line in verbs.splitlines()} == VERBS
    assert set(re.findall(r"[A-Z_]{4,}", settings)) == {
        "PORT",
        "PUBLISHED_HOST",
        "API_KEY",
        *passed_settings(),
    }


def _lines(name: str) -> list[str]:
    return [line.strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]


# docker.sh, run with a stand-in for docker that writes down how it is called


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[subprocess.CompletedProcess[str], list[str]]]:
    """Run docker.sh with the arguments; return the process and the calls of docker, one line each."""
    if sys.platform == "win32":
        pytest.skip("docker.sh is for Linux and macOS")
    calls = tmp_path / "calls"
    for name in ("docker", "docker-compose"):
        stand_in = tmp_path / "bin" / name
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(
            "#!/bin/sh\n[ \"$*\" = 'compose version' ] && exit ${NO_PLUGIN:-0}\n"
            f'echo "{name} $*" >>{calls}\n'
            '[ -n "${FAILS:-}" ] || exit 0\ncase "$*" in *$FAILS*) exit 3 ;; esac\n'
        )
        stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)

    def run_script(
        *arguments: str, typed: str = "", **variables: str
    ) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        calls.write_text("")
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, **variables}
        answer = subprocess.run(
            [str(ROOT / "docker.sh"), *arguments],
            cwd=tmp_path,
            env=environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return answer, calls.read_text().splitlines()

    return run_script


Run = Callable[..., tuple[subprocess.CompletedProcess[str], list[str]]]
READY = "docker compose exec -T app python -m devkit.health --wait 60"


def test_without_a_verb_help_is_printed_and_nothing_runs(run: Run) -> None:
    answer, calls = run()
    assert answer.returncode == 0
    assert answer.stdout.startswith("usage: docker.sh VERB")
    assert calls == []


def test_an_unknown_verb_is_refused(run: Run) -> None:
    answer, calls = run("strat")
    assert (answer.returncode, calls) == (2, [])
    assert "there is no verb 'strat'" in answer.stderr


def test_up_builds_starts_and_waits(run: Run) -> None:
    answer, calls = run("up", PORT="8080")
    assert calls == ["docker build --tag afterwrite .", "docker compose up --detach", READY]
    assert "Ready: http://127.0.0.1:8080 " in answer.stdout


def test_the_older_docker_compose_is_used_where_the_plugin_is_missing(run: Run) -> None:
    assert run("stop", NO_PLUGIN="1")[1] == ["docker-compose stop"]


def test_a_file_is_loaded_between_stop_and_start(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my feed.csv").touch()
    answer, calls = run("init-db", "my feed.csv")
    assert answer.returncode == 0, answer.stderr
    mount = f"--volume {tmp_path.resolve()}/my feed.csv:/input/my feed.csv:ro"
    load = f"docker compose run --rm --no-deps -T {mount} app python init_db.py /input/my feed.csv"
    assert calls == ["docker compose stop", load, "docker compose up --detach", READY]


def test_a_load_that_fails_is_reported_and_the_server_started_again(run: Run) -> None:
    answer, calls = run("init-db", FAILS="init_db.py")
    assert answer.returncode == 3
    assert calls[-2:] == ["docker compose up --detach", READY]


def test_a_file_that_is_not_there_stops_nothing(run: Run) -> None:
    answer, calls = run("init-db", "none.csv")
    assert (answer.returncode, calls) == (1, [])
    assert "there is no file" in answer.stderr


def test_a_failed_build_starts_nothing(run: Run) -> None:
    answer, calls = run("up", FAILS="build")
    assert (answer.returncode, calls) == (3, ["docker build --tag afterwrite ."])


@pytest.mark.parametrize(("typed", "removes"), [("y\n", True), ("n\n", False), ("", False)])
def test_clean_asks_before_it_removes(run: Run, typed: str, removes: bool) -> None:
    answer, calls = run("clean", typed=typed)
    assert bool(calls) is removes
    assert answer.returncode == (0 if removes else 1)


def test_clean_removes_without_a_question_when_told_so(run: Run) -> None:
    assert run("clean", "--yes")[1] == ["docker compose down --volumes --rmi all --remove-orphans"]


def test_a_document_is_sent_as_one_argument(run: Run) -> None:
    # The key goes on by its name: everybody on the machine may read what stands on a command line.
    assert run("graphql", "{ queue { depth } }", API_KEY="aw_x")[1] == [
        "docker compose exec -T --env API_KEY app python -m devkit.ask { queue { depth } }"
    ]


@pytest.mark.parametrize("name", ["docker.sh", "docker.bat"])
def test_no_script_puts_the_key_on_a_command_line(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text.count("--env API_KEY app") == 6
    assert not re.search(r"[$%]\{?API_KEY", text)


def test_keys_are_made_without_a_running_server(run: Run) -> None:
    _answer, calls = run("key", "add", "ann", "--role", "read")
    assert calls == ["docker compose run --rm --no-deps -T app python -m devkit.keys add ann --role read"]


@pytest.mark.parametrize("script", ["docker.sh", ".ci/run"])
def test_shellcheck_finds_nothing(script: str) -> None:
    if not shutil.which("shellcheck"):
        if os.environ.get("CI"):
            pytest.fail("shellcheck is missing: .ci/run installs it")
        pytest.skip("shellcheck is not installed")
    answer = subprocess.run(["shellcheck", ROOT / script], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout
    assert (ROOT / script).stat().st_mode & stat.S_IXUSR


# The image and the composition


def test_the_container_has_longer_to_stop_than_tasks_and_drain_may_take() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    [grace] = re.findall(r"stop_grace_period: (\d+)s", compose)
    [drain] = re.findall(r'^      STOP_SECONDS: "(\d+)"', compose, re.MULTILINE)
    [tasks] = re.findall(r'^      TASK_STOP_SECONDS: "(\d+)"', compose, re.MULTILINE)
    settings = Settings(stop_seconds=int(drain), task_stop_seconds=int(tasks))
    assert int(grace) > settings.longest_stop_seconds + 15
    told = [
        f"for {int(drain) + int(tasks)} s at most" in (ROOT / name).read_text(encoding="utf-8")
        for name in SCRIPTS
    ]
    assert all(told)


def test_the_port_is_bound_to_this_machine_only() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert re.findall(r'- "(.*):5000"', compose) == ["${PUBLISHED_HOST:-127.0.0.1}:${PORT:-5000}"]


def test_the_server_is_told_where_its_port_is_published() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert "\n      PUBLISHED_HOST: ${PUBLISHED_HOST:-127.0.0.1}\n" in compose
    assert "HOST=0.0.0.0" in (ROOT / "Dockerfile").read_text(
        encoding="utf-8"
    )  # so that others must be let in


def test_settings_that_are_passed_on_exist() -> None:
    assert passed_settings()
    assert set(passed_settings()) <= {name.upper() for name in Settings.__dataclass_fields__}


def passed_settings() -> list[str]:
    """The settings that go on to the server under their own names."""
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    passed = re.findall(r"^      ([A-Z_]+): \$\{([A-Z_]+):-\}$", compose, re.MULTILINE)
    assert all(name == source for name, source in passed)
    return [name for name, _ in passed]


def test_the_image_runs_as_its_own_user_with_exec_forms() -> None:
    lines = _lines("Dockerfile")
    assert "FROM python:3.13-slim" in lines
    assert "USER afterwrite" in lines
    assert 'CMD ["python", "-m", "devkit.serve"]' in lines
    assert any(
        line.startswith("HEALTHCHECK") and line.endswith('["python", "-m", "devkit.health"]')
        for line in lines
    )
