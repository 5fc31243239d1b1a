"""The file of settings, `.env`: read by every program, after the environment, and strictly."""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from server_process import ROOT, ServerProcess, free_port, wait_until

from afterwrite.base.settings import SettingsError
from afterwrite.base.settings_file import read_settings_file
from devkit import background_server, environment
from devkit.place import Place

pytestmark = pytest.mark.one_database("settings are read before any database")

KNOWN = {"PORT", "DATA_DIR", "API_KEYS", "LOG_FORMAT", "ENV_FILE"}
SHOW = "import json; from afterwrite.base.settings import from_environment as f; s = f(); "
SHOW += "print(json.dumps([s.port, str(s.data_dir), s.log_file, s.api_keys, s.database_url]))"


def _file(folder: Path, text: str) -> Path:
    path = folder / "some.env"
    path.write_bytes(text.encode("utf-8"))
    return path


def _run(file: Path, *command: str, **given: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"ENV_FILE": str(file)} | given,
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def _settings(file: Path, **given: str) -> list[Any]:
    """Port, data folder, log file, keys and database of a program that is started with this file."""
    run = _run(file, "-c", SHOW, **given)
    assert run.returncode == 0, run.stderr
    found: list[Any] = json.loads(run.stdout)
    return found


# What it says


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("API_KEYS=plain", "plain"),
        ("API_KEYS = spaced  # a comment", "spaced"),
        ("export API_KEYS=of-a-shell", "of-a-shell"),
        ("API_KEYS='single # $HOME'", "single # $HOME"),
        ('API_KEYS="double"', "double"),
        ("API_KEYS=a$PORT${PORT}", "a$PORT${PORT}"),
        ("\ufeffAPI_KEYS=of Notepad\r\n", "of Notepad"),
        ("API_KEYS=\nAPI_KEYS=once", "once"),
    ],
)
def test_a_value_is_read_as_it_is_meant(tmp_path: Path, text: str, value: str) -> None:
    assert read_settings_file(_file(tmp_path, text), KNOWN) == {"API_KEYS": value}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\n\n# one\nPROT=1\n", "line 4: there is no setting 'PROT'; did you mean PORT?"),
        ("port=1", "line 1: there is no setting 'port'; did you mean PORT?"),
        ("DATADIR=x", "line 1: there is no setting 'DATADIR'; did you mean DATA_DIR?"),
        ("XYZ=1", "line 1: there is no setting 'XYZ'; did you mean "),
        ("PORT=1\nDATA_DIR=x\nPORT=2", "line 3: PORT is set there again"),
        ("PORT", "line 1: this is not NAME=VALUE"),
        ("\nAPI_KEYS='open\n", "line 2: this is not NAME=VALUE"),
        ("ENV_FILE=other", "line 1: ENV_FILE says where this file is"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings_file(_file(tmp_path, text), KNOWN)
    assert f"some.env, {told}" in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "utf16.env").write_bytes("PORT=1".encode("utf-16"))
    for name, reason in (("missing.env", "No such file"), ("", "Is a directory"), ("utf16.env", "not UTF-8")):
        with pytest.raises(SettingsError, match=rf"The file of settings .*{reason}"):
            read_settings_file(tmp_path / name, KNOWN)


def test_the_environment_comes_first_if_only_empty(tmp_path: Path) -> None:
    keys = "ann:read:sha256-" + "a" * 64
    file = _file(tmp_path, f"PORT=8001\nAPI_KEYS='{keys}'\nDATABASE_URL=postgresql+psycopg://h/d\nCOMPOSE_PROFILES=x")
    assert _settings(file)[0] == 8001
    assert _settings(file)[3:] == [keys, "postgresql+psycopg://h/d"]
    assert _settings(file, PORT="8002", DATABASE_URL="")[::4] == [8002, ""]


def test_a_path_counts_from_the_folder_of_the_file(tmp_path: Path) -> None:
    file = _file(tmp_path, "DATA_DIR=mine\nLOG_FILE=logs/x.log")
    assert _settings(file)[1:3] == [str(tmp_path / "mine"), str(tmp_path / "logs" / "x.log")]
    file = _file(tmp_path, "DATA_DIR=/elsewhere\nLOG_FILE=off")
    assert _settings(file)[1:3] == ["/elsewhere", "off"]
    assert _settings(file, DATA_DIR="given")[1] == "given"
    assert _settings(_file(tmp_path, "DATA_DIR=~/mine"), HOME="/home/ann")[1] == "/home/ann/mine"


def test_a_bad_value_is_refused_with_the_file_that_has_it(tmp_path: Path) -> None:
    file = _file(tmp_path, "PORT=many")
    run = _run(file, "app.py")
    assert run.stderr.startswith("afterwrite: PORT='many' is not usable")
    assert run.stderr.endswith(f"(it is in {file})\n")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("RATE_LIMIT=many", "RATE_LIMIT='many' is not understood"),
        ("RATE_LIMIT=0/minute", "RATE_LIMIT='0/minute' would let no request through"),
        ("THREADS=20", "THREADS=20 leaves no thread"),
        ("RUN_WORKERS=off", "RUN_WORKERS=off leaves tasks to other processes"),
        ("PROCESS_ENGINE=airflow", "PROCESS_ENGINE=airflow needs a database"),
        ("CORS_ORIGINS=shop.example", "CORS_ORIGINS names 'shop.example'"),
        ("CORS_ORIGINS=*", "CORS_ORIGINS=* and no keys"),
        ("API_KEYS=ann", "API_KEYS, key 1"),
        ("HOST=0.0.0.0", "HOST=0.0.0.0 can be reached"),
    ],
)
@pytest.mark.parametrize("program", ["dev.py start", "app.py"])
def test_a_value_that_only_the_start_can_judge_is_refused_with_the_file_that_has_it(
    tmp_path: Path, program: str, line: str, told: str
) -> None:
    file = _file(tmp_path, f"{line}\nDATA_DIR=data\n")
    run = _run(file, *program.split())
    assert run.returncode == 1
    [said] = run.stderr.splitlines()
    assert told in said
    assert said.endswith(f"(it is in {file})")


def test_a_value_of_the_environment_is_not_said_to_be_in_the_file(tmp_path: Path) -> None:
    file = _file(tmp_path, "RATE_LIMIT=10/minute\nDATA_DIR=data\n")
    run = _run(file, "-m", "afterwrite.access.start", RATE_LIMIT="many")
    assert run.returncode == 1
    assert "RATE_LIMIT='many' is not understood" in run.stderr
    assert "it is in" not in run.stderr


# Who reads it

PROGRAMS = [
    ["app.py"],
    ["init_db.py"],
    *(
        ["-m", "afterwrite", *program]
        for program in (
            ["serve"],
            ["worker"],
            ["consumer"],
            ["notification"],
            ["dead-letters", "list"],
            ["key", "list"],
            ["init-db"],
            ["migrate-to-postgres"],
        )
    ),
    ["-m", "devkit.serve"],
    *(["dev.py", verb] for verb in ("up", "start", "stop", "worker", "init-db", "logs", "build", "test-verbose")),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_every_program_stops_at_a_name_that_is_no_setting(tmp_path: Path, program: list[str]) -> None:
    run = _run(_file(tmp_path, "TREADS=8\n"), *program)
    assert run.returncode == 1
    assert run.stdout == ""
    [line] = run.stderr.splitlines()
    assert "line 1: there is no setting 'TREADS'; did you mean THREADS?" in line


def test_other_names_in_the_environment_are_ignored(tmp_path: Path) -> None:
    assert _settings(_file(tmp_path, "PORT=8001"), TREADS="8")[0] == 8001


def test_what_has_databases_of_its_own_reads_no_file(tmp_path: Path) -> None:
    wrong = _file(tmp_path, "TREADS=8\n")
    run = _run(wrong, "dev.py", "test", "--collect-only", "-q", "tests/base/test_settings.py")
    assert run.returncode == 0, run.stderr
    own = _file(tmp_path, "DATABASE_URL=postgresql+psycopg://h/of-somebody\nLOG_FORMAT=json")
    script = "from pathlib import Path; from devkit import env_file, place; "
    script += "from afterwrite.base.settings import from_environment; "
    script += "env_file.use('test-verbose'); env = place.temporary_place(Path('x')).environment(); "
    script += "s = from_environment(env); print(s.database_url, s.log_format, env['ENV_FILE'])"
    assert _run(own, "-c", script).stdout == " json off\n"


def test_a_server_goes_on_with_what_it_read_when_the_file_is_broken_later(
    make_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    file = _file(tmp_path, "LOG_FORMAT=json\n")
    server = make_server(ENV_FILE=str(file)).start()
    file.write_text("TREADS=8\n", encoding="utf-8")
    first = server.worker()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: server.worker() not in (0, first) and server.ready())
    assert all(json.loads(line) for line in server.log.splitlines())
    assert server.log.count("serving on") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="its environments are made in another way")
def test_a_python_with_nothing_installed_starts_a_server_with_the_file(tmp_path: Path) -> None:
    project, port = tmp_path / "project", free_port()
    leave_out = shutil.ignore_patterns(
        ".git", ".venv*", "data", "node_modules", "__pycache__", ".*_cache", ".hypothesis"
    )
    shutil.copytree(ROOT, project, ignore=leave_out)
    bare, full = tmp_path / "bare", project / ".venv"
    for folder in (bare, full):
        venv.create(folder, symlinks=True)
    # As after a first start, without waiting for its downloads: the packages are those of this Python.
    [packages] = full.glob("lib/python*/site-packages")
    packages.joinpath("these.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    stamp = {environment.TO_RUN: environment.digest_of(project / environment.TO_RUN)}
    full.joinpath(environment.STAMP).write_text(json.dumps(stamp), encoding="utf-8")
    shutil.copy(project / ".env.example", project / ".env")
    with (project / ".env").open("a", encoding="utf-8") as file:
        file.write(f"PORT={port}\nDATA_DIR=łódź\nPOSTGRES_PASSWORD='of compose'\n")
    given = {name: value for name, value in os.environ.items() if name not in ("ENV_FILE", "DATA_DIR", "PORT")}

    def dev(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(bare / "bin" / "python"), str(project / "dev.py"), *arguments]
        return subprocess.run(command, env=given, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=120)

    here = Place(project / "łódź", "127.0.0.1", port)
    try:
        started = dev("start")
        assert started.returncode == 0, started.stderr
        assert f"Started: http://127.0.0.1:{port} " in started.stdout
        assert dev("graphql", "{ __typename }").returncode == 0
        assert dev("stop").stdout.startswith("Stopping the server")
    finally:
        if server := background_server.running(here):
            background_server.stop(here, server)
    assert here.record_path.parent.joinpath("journal.db").exists()
