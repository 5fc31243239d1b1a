"""Runs docker.sh with a stand-in for docker that writes down how it is called."""

import base64
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from compose_file import ROOT, SECRETS


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[subprocess.CompletedProcess[str], list[str]]]:
    """Run docker.sh with the arguments; return the process and the calls of docker, one line each."""
    if sys.platform == "win32":
        pytest.skip("docker.sh is for Linux and macOS")
    calls, project = tmp_path / "calls", tmp_path / "project"
    project.mkdir()
    script = shutil.copy(ROOT / "docker.sh", project)
    shutil.copy(ROOT / ".env.example", project)
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
            [script, *arguments], cwd=tmp_path, env=environment, input=typed, capture_output=True, text=True, timeout=60
        )
        return answer, calls.read_text().splitlines()

    return run_script


Run = Callable[..., tuple[subprocess.CompletedProcess[str], list[str]]]
SCALE = "docker compose --profile scale"
START_SCALE = f"{SCALE} up --detach nginx worker"
READY_SCALE = [
    f"{SCALE} exec -T api python -m devkit.health --wait 60",
    f"{SCALE} run --rm --no-deps -T client python -m devkit.health --wait 60",
]
READY = "docker compose exec -T --env API_KEY app python -m devkit.health --wait 60"


@pytest.mark.parametrize(
    ("file", "given", "port"),
    [
        (None, {}, 5000),
        ("PORT=8123\n", {}, 8123),
        ("#PORT=1\nPORT='8124' # mine\n", {}, 8124),
        ("PORT=8123\n", {"PORT": "9"}, 9),
        ("export PORT = 8125\n", {}, 8125),
        ("PORT=8126\nPORT=\n", {}, 5000),
        ("PORT=8127\n", {"PORT": ""}, 5000),
    ],
)
def test_the_address_is_that_of_the_environment_or_the_file(
    run: Run, tmp_path: Path, file: str | None, given: dict[str, str], port: int
) -> None:
    """Compose reads .env by itself, so what is said must be what it does."""
    if file is not None:
        (tmp_path / "project" / ".env").write_text(file, encoding="utf-8")
    answer, _calls = run("start", **given)
    assert f"Ready: http://127.0.0.1:{port} (GraphiQL: http://127.0.0.1:{port}/graphql)" in answer.stdout
    assert run("graphql", **given)[0].stdout == f"http://127.0.0.1:{port}/graphql\n"


@pytest.mark.parametrize("line", ["THRADS=9", "export THRADS=9"])
def test_a_name_in_the_file_that_is_no_setting_stops_the_start(run: Run, tmp_path: Path, line: str) -> None:
    """Compose takes any name, and a misspelt one has no effect."""
    settings = f"THREADS=40\nexport PORT=8123\nCOMPOSE_PROJECT_NAME=a\n{line}"  # without an end of its line
    (tmp_path / "project" / ".env").write_text(settings, "utf-8")
    answer, calls = run("start")
    assert (answer.returncode, calls) == (1, [])
    assert "there is no setting THRADS;" in answer.stderr


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
    assert run("stop", NO_PLUGIN="1")[1] == ["docker-compose --profile scale --profile stack stop"]


def test_a_file_is_loaded_between_stop_and_start(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my feed.csv").touch()
    answer, calls = run("init-db", "my feed.csv", "--decimal", "comma")
    assert answer.returncode == 0, answer.stderr
    mount = f"--volume {tmp_path.resolve()}/my feed.csv:/input/my feed.csv:ro"
    program = f"docker compose run --rm --no-deps -T {mount} app python init_db.py"
    check = f"{program} --check /input/my feed.csv --decimal comma"
    load = f"{program} /input/my feed.csv --decimal comma"
    assert calls == [check, "docker compose stop", load, "docker compose up --detach", READY]


def test_a_file_that_cannot_be_loaded_stops_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "feed.csv").touch()
    answer, calls = run("init-db", "feed.csv", FAILS="--check")
    assert answer.returncode == 3
    assert [call for call in calls if "init_db.py" not in call] == []


def test_options_alone_go_to_the_program(run: Run) -> None:
    assert (
        "docker compose run --rm --no-deps -T app python init_db.py --schema-only" in run("init-db", "--schema-only")[1]
    )


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
    down = "docker compose --profile scale --profile stack down --volumes --rmi all --remove-orphans"
    assert run("clean", "--yes")[1] == [down]


def test_a_document_is_sent_as_one_argument(run: Run) -> None:
    # The key goes on by its name: everybody on the machine may read what stands on a command line.
    assert run("graphql", "{ queue { depth } }", API_KEY="aw_x")[1] == [
        "docker compose exec -T --env API_KEY app python -m devkit.ask { queue { depth } }"
    ]


def test_keys_are_made_without_a_running_server(run: Run) -> None:
    _answer, calls = run("key", "add", "ann", "--role", "read")
    assert calls == ["docker compose run --rm --no-deps -T app python -m afterwrite key add ann --role read"]


# With the profile


def test_up_with_the_profile_names_what_it_starts(run: Run) -> None:
    answer, calls = run("up", "--profile", "scale", POSTGRES_PASSWORD="given")
    assert calls == ["docker build --tag afterwrite .", START_SCALE, *READY_SCALE]
    assert answer.returncode == 0


def test_the_password_of_the_profile_is_made_once_and_kept(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "project" / ".env"
    kept.write_text("THREADS=9")  # without an end of its line
    said = [run("start", "--profile", "scale", POSTGRES_PASSWORD="")[0].stdout for _ in range(2)]
    assert re.fullmatch(r"THREADS=9\nPOSTGRES_PASSWORD=[0-9a-f]{64}\n", kept.read_text())
    assert ["Made POSTGRES_PASSWORD" in text for text in said] == [True, False]
    assert re.search(r"=(.*)\n$", kept.read_text())[1] not in said[0]  # type: ignore[index]


def test_a_password_that_an_export_line_gives_is_kept(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "project" / ".env"
    kept.write_text("export POSTGRES_PASSWORD=mine\n")
    assert "Made" not in run("start", "--profile", "scale", POSTGRES_PASSWORD="")[0].stdout
    assert kept.read_text() == "export POSTGRES_PASSWORD=mine\n"


@pytest.mark.parametrize("takes_files", [True, False])
def test_the_password_is_on_disk_before_a_volume_has_it(run: Run, tmp_path: Path, takes_files: bool) -> None:
    """A power cut leaves the old .env or the new one, whole: the content is on disk before it has the name."""
    calls, synced, kept = tmp_path / "calls", tmp_path / "synced", tmp_path / "project" / ".env"
    refuses = "" if takes_files else '[ "$#" -eq 0 ] || exit 1\n'
    content = f"[ ! -e .env.new ] || cp .env.new {synced}\n"
    for name, does in (("sync", refuses + content), ("mv", f'exec {shutil.which("mv")} "$@"\n')):
        stand_in = tmp_path / "bin" / name
        stand_in.write_text(f'#!/bin/sh\necho {name} "$@" >>{calls}\n{does}')
        stand_in.chmod(0o755)
    kept.write_text("THREADS=40\n")
    everything = [] if takes_files else ["sync"]
    done = ["sync .env.new", *everything, "mv -f .env.new .env", "sync .", *everything, START_SCALE]
    assert run("start", "--profile", "scale", POSTGRES_PASSWORD="")[1][: len(done)] == done
    assert re.fullmatch(r"THREADS=40\n\nPOSTGRES_PASSWORD=[0-9a-f]{64}\n", kept.read_text())
    assert synced.read_text() == kept.read_text()


def test_a_password_leaves_the_mode_of_the_file(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "project" / ".env"
    kept.write_text("THREADS=40\n")
    kept.chmod(0o640)
    run("start", "--profile", "scale", POSTGRES_PASSWORD="")
    assert "POSTGRES_PASSWORD" in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640


@pytest.mark.parametrize("before", ["THREADS=40\n", ""])
def test_what_a_run_that_was_cut_off_left_is_not_used(run: Run, tmp_path: Path, before: str) -> None:
    kept, left = tmp_path / "project" / ".env", tmp_path / "project" / ".env.new"
    if before:
        kept.write_text(before)
    left.write_text("THREADS=4")
    left.chmod(0o444)
    answer, _calls = run("start", "--profile", "scale", POSTGRES_PASSWORD="")
    assert answer.returncode == 0, answer.stderr
    assert re.fullmatch(rf"{before}\nPOSTGRES_PASSWORD=[0-9a-f]{{64}}\n", kept.read_text())
    assert not left.exists()


def test_a_password_goes_into_the_file_that_a_link_names(run: Run, tmp_path: Path) -> None:
    link, kept = tmp_path / "project" / ".env", tmp_path / "settings"
    kept.write_text("THREADS=40\n")
    link.symlink_to(kept)
    run("start", "--profile", "scale", POSTGRES_PASSWORD="")
    assert link.is_symlink()
    assert re.fullmatch(r"THREADS=40\n\nPOSTGRES_PASSWORD=[0-9a-f]{64}\n", kept.read_text())


def test_nobody_else_reads_the_password(run: Run, tmp_path: Path) -> None:
    run("start", "--profile", "scale", POSTGRES_PASSWORD="")
    assert stat.S_IMODE((tmp_path / "project" / ".env").stat().st_mode) == 0o600


def test_a_password_that_is_given_is_kept_nowhere(run: Run, tmp_path: Path) -> None:
    run("start", "--profile", "scale", POSTGRES_PASSWORD="given")
    run("start", POSTGRES_PASSWORD="")
    assert not (tmp_path / "project" / ".env").exists()


@pytest.mark.parametrize("given", [["scal"], []])
def test_an_unknown_profile_is_refused(run: Run, given: list[str]) -> None:
    answer, calls = run("up", "--profile", *given)
    assert (answer.returncode, calls) == (2, [])
    assert "use scale or stack" in answer.stderr


def test_whatever_runs_is_stopped_and_cleaned(run: Run) -> None:
    for given in ([], ["--profile", "scale"], ["--profile", "stack"]):
        assert run("stop", *given)[1][0].endswith("--profile scale --profile stack stop")
        [down] = run("clean", *given, "--yes")[1]
        assert down.endswith("--profile scale --profile stack down --volumes --rmi all --remove-orphans")


def test_commands_of_the_profile_ask_nginx(run: Run) -> None:
    client = f"{SCALE} run --rm --no-deps -T client"
    document = ["graphql", "--profile", "scale", "{ queue { depth } }"]
    assert run(*document)[1] == [f"{client} python -m devkit.ask {{ queue {{ depth }} }}"]
    _answer, calls = run("test", "--profile", "scale", "--verbose", POSTGRES_PASSWORD="given")
    assert calls[-1] == f"{client} python integration_test.py --verbose"


def test_the_log_of_the_profile_is_shown_also_after_a_failure(run: Run) -> None:
    tested = run("test-debug", "--profile", "scale", POSTGRES_PASSWORD="given", FAILS="integration_test.py")
    assert tested[0].returncode == 3
    assert tested[1][-1] == f"{SCALE} logs --tail 50"


def test_a_file_is_loaded_into_postgresql_while_it_serves(run: Run, tmp_path: Path) -> None:
    (tmp_path / "feed.csv").touch()
    answer, calls = run("init-db", "--profile", "scale", "feed.csv", POSTGRES_PASSWORD="given")
    assert answer.returncode == 0, answer.stderr
    mount = f"--volume {tmp_path.resolve()}/feed.csv:/input/feed.csv:ro"
    program = f"{SCALE} run --rm --no-deps -T {mount} api python init_db.py"
    check, load = f"{program} --check /input/feed.csv", f"{program} /input/feed.csv"
    assert calls == [check, START_SCALE, load, START_SCALE, *READY_SCALE]


def test_a_key_of_the_profile_is_made_in_a_container_of_the_api(run: Run) -> None:
    _answer, calls = run("key", "--profile", "scale", "add", "ann", "--role", "read")
    assert calls == [f"{SCALE} run --rm --no-deps -T api python -m afterwrite key add ann --role read"]


def test_the_one_server_stops_before_its_data_is_copied(run: Run) -> None:
    answer, calls = run("migrate-to-postgres", POSTGRES_PASSWORD="given")
    copy = f"{SCALE} run --rm -T api python -m afterwrite migrate-to-postgres"
    assert calls == ["docker build --tag afterwrite .", "docker compose --profile scale --profile stack stop", copy]
    assert answer.returncode == 0


# With the profile `stack`

STACK = "docker compose --profile stack"
STARTED = "stack-api stack-worker consumer notification airflow-scheduler airflow-dag-processor"
START_STACK = f"{STACK} up --detach {STARTED}"
ASKED = "python -m devkit.health --wait 60"
READY_STACK = [
    *(f"{STACK} exec -T {name} {ASKED}" for name in ("stack-worker", "consumer", "notification")),
    f"{STACK} exec -T consumer python -m devkit.airflow_ready --wait 120",
    f"{STACK} exec -T --env API_KEY stack-api {ASKED}",
]
BUILD_STACK = ["docker build --tag afterwrite .", "docker build --tag afterwrite-airflow --file Dockerfile.airflow ."]


def test_up_with_the_stack_builds_both_images_and_waits_for_all(run: Run) -> None:
    answer, calls = run("up", "--profile", "stack")
    assert answer.returncode == 0, answer.stderr
    assert calls == [*BUILD_STACK, START_STACK, *READY_STACK]


def test_an_airflow_that_is_not_ready_is_an_error(run: Run) -> None:
    answer, calls = run("start", "--profile", "stack", FAILS="airflow_ready")
    assert (answer.returncode, calls[-1]) == (3, READY_STACK[-2])
    assert "Ready" not in answer.stdout


def test_the_passwords_of_the_stack_are_made_once_and_no_two_are_alike(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "project" / ".env"
    without = dict.fromkeys(SECRETS, "")
    first = run("start", "--profile", "stack", **without)[0].stdout
    made = dict(line.split("=", 1) for line in kept.read_text().splitlines() if line)
    assert made.keys() == SECRETS
    assert len(set(made.values())) == len(SECRETS)
    assert len(base64.urlsafe_b64decode(made.pop("AIRFLOW_FERNET_KEY"))) == 32
    for value in made.values():
        assert re.fullmatch("[0-9a-f]{64}", value)  # so it may stand in a URL
        assert value not in first
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    before = kept.read_text()
    run("start", "--profile", "stack", **without)
    assert kept.read_text() == before


def test_the_stack_takes_the_password_of_the_scale_profile(run: Run, tmp_path: Path) -> None:
    """Both have the same PostgreSQL, which has the password that it was made with."""
    kept = tmp_path / "project" / ".env"
    run("start", "--profile", "scale", POSTGRES_PASSWORD="")
    [before] = kept.read_text().splitlines()[1:]
    run("start", "--profile", "stack", **dict.fromkeys(SECRETS, ""))
    assert [line for line in kept.read_text().splitlines() if line.startswith("POSTGRES")] == [before]


def test_commands_of_the_stack_ask_its_api(run: Run) -> None:
    document = ["graphql", "--profile", "stack", "{ queue { depth } }"]
    asked = f"{STACK} exec -T --env API_KEY stack-api python -m devkit.ask {{ queue {{ depth }} }}"
    assert run(*document)[1] == [asked]
    assert run("key", "--profile", "stack", "list")[1] == [
        f"{STACK} run --rm --no-deps -T stack-api python -m afterwrite key list"
    ]
    tested = run("test", "--profile", "stack")[1]
    assert tested == [START_STACK, *READY_STACK, f"{STACK} exec -T --env API_KEY stack-api python integration_test.py"]
