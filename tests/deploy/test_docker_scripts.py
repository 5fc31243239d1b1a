"""Tests the Docker scripts: both run the same commands, say the same, and keep secrets to themselves."""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable

import pytest
from compose_file import ROOT, SECRETS, passed_settings

VERBS = {"up", "start", "stop", "restart", "test", "test-verbose", "test-debug", "build", "clean", "fresh"}
VERBS |= {"shell", "init-db", "logs", "graphql", "key", "migrate-to-postgres", "demo"}
FUNCTIONS = ("start_services", "build_images", "keep_passwords", "keep_password", "make_way", "wait_ready")
STEP = re.compile(rf"(docker|compose|in_server|confirm|require_file|{'|'.join(FUNCTIONS)})\b")

Steps = dict[str, list[str]]


def steps_of_shell_script() -> Steps:
    """The steps of each verb of docker.sh, and of its functions."""
    text = (ROOT / "docker.sh").read_text(encoding="utf-8")
    arms = re.findall(r"^    ([a-z-]+)\)\n(.*?)^        ;;", text, re.MULTILINE | re.DOTALL)
    names = "|".join(FUNCTIONS)
    functions = re.findall(rf"^({names})\(\) \{{\n(.*?)^\}}", text, re.MULTILINE | re.DOTALL)
    return {name: _steps(body, _plain_shell) for name, body in [*arms, *functions]}


def steps_of_batch_file() -> Steps:
    """The same of docker.bat; a verb's inner labels belong to it."""
    text = (ROOT / "docker.bat").read_text(encoding="utf-8")
    parts = re.findall(r"^:([a-z_-]+)\n(.*?)(?=^:|\Z)", text, re.MULTILINE | re.DOTALL)
    found: Steps = {}
    for label, body in parts:
        wholes = (*FUNCTIONS, "init-db", "graphql", "test-debug")
        name = next((whole for whole in wholes if label.startswith(whole)), label)
        found.setdefault(name, []).extend(_steps(body, _plain_batch))
    return found


def _steps(body: str, plain: Callable[[str], str]) -> list[str]:
    return [line for line in map(plain, body.splitlines()) if STEP.match(line)]


def _plain_shell(line: str) -> str:
    line = line.strip().removesuffix(" || code=$?").replace("$file", "FILE").replace("$name", "NAME")
    line = line.replace('"$service"', "SERVICE")
    return line.replace('"$@"', "REST").replace("confirm REST", "confirm").replace(' "FILE"', "")


def _plain_batch(line: str) -> str:
    line = line.replace("%COMPOSE%", "compose").replace("%IN_SERVER%", "in_server").removeprefix("call :")
    line = line.replace("docker.exe", "docker").replace("%SERVICE%", "SERVICE")
    line = re.sub(r' \|\| (exit /b 1|set "CODE=1")$', "", line)
    return (
        line.replace("%FILE%", "FILE").replace("%NAME%", "NAME").replace("%REST%", "REST").replace("%OPTIONS%", "REST")
    )


def test_both_scripts_run_the_same_commands_for_every_verb() -> None:
    shell, batch = steps_of_shell_script(), steps_of_batch_file()
    assert shell.keys() >= VERBS
    for name in {*VERBS, *FUNCTIONS}:
        assert shell[name] == batch[name], name
        assert shell[name] or name in ("graphql", "keep_password"), name


def test_both_scripts_ask_the_same_containers() -> None:
    shell, batch = "\n".join(_lines("docker.sh")), "\n".join(_lines("docker.bat"))
    [asks] = re.findall(r"^in_server\(\) \{\n(.*?)^\}", shell, re.MULTILINE | re.DOTALL)
    in_shell = {_plain_shell(line) for line in re.findall(r'^(compose .*) "\$@"$', asks, re.MULTILINE)}
    assert in_shell == {_plain_batch(line) for line in re.findall(r'set "IN_SERVER=(.*)"', batch)}
    assert re.findall(r"\bservice=([a-z-]+)", shell) == ["app", "api", "stack-api"]
    assert re.findall(r'set "SERVICE=(.*)"$', batch, re.MULTILINE) == ["app", "api", "stack-api"]


def test_both_scripts_make_the_same_passwords() -> None:
    """All those that docker-compose.yml wants, and no other."""
    shell, batch = "\n".join(_lines("docker.sh")), "\n".join(_lines("docker.bat"))
    made = re.findall(r"^keep_password ([A-Z_]+)$", shell, re.MULTILINE)
    assert made == re.findall(r"^call :keep_password ([A-Z_]+) ", batch, re.MULTILINE)
    assert set(made) == SECRETS


def test_both_scripts_go_on_after_the_same_failures() -> None:
    shell = [line for line in _lines("docker.sh") if line.endswith("|| code=$?")]
    batch = [line for line in _lines("docker.bat") if line.endswith('|| set "CODE=1"')]
    assert [_plain_shell(line) for line in shell] == [_plain_batch(line) for line in batch]
    assert len(shell) == 5


def test_every_command_of_the_batch_file_stops_at_a_failure_or_notes_it() -> None:
    for line in _lines("docker.bat"):
        if line.startswith(("%COMPOSE% ", "%IN_SERVER% ", "docker.exe build", "call :")):
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
        *SECRETS,
        *("AIRFLOW_PARALLELISM", "AIRFLOW_PORT", "AIRFLOW_PUBLIC_URL", "RABBITMQ_PORT"),
        *(set(passed_settings("stack-api")) - set(passed_settings()) - SECRETS),
    }


def _lines(name: str) -> list[str]:
    return [line.strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", ["docker.sh", "docker.bat"])
def test_no_script_puts_the_key_on_a_command_line(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text.count("--env API_KEY") == 1
    assert not re.search(r"[$%]\{?API_KEY", text)


@pytest.mark.parametrize("script", ["docker.sh", ".ci/run"])
def test_shellcheck_finds_nothing(script: str) -> None:
    if not shutil.which("shellcheck"):
        if os.environ.get("CI"):
            pytest.fail("shellcheck is missing: .ci/run installs it")
        pytest.skip("shellcheck is not installed")
    answer = subprocess.run(["shellcheck", ROOT / script], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout
    assert (ROOT / script).stat().st_mode & stat.S_IXUSR
