"""The package: the versions that it allows, the files in its wheel, and an application served from its own folder."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from installed_package import Installation, build_wheel
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from server_process import ROOT, Client, wait_until

from afterwrite.base.settings import VERSION
from afterwrite.programs.command_line import PROGRAMS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
APPLICATION = """\
import graphene
from afterwrite import Application, Resource, Text

class Note(Resource):
    text = Text(max_length=500, search=True)

class Query(graphene.ObjectType):
    greeting = graphene.String(required=True)

    @staticmethod
    def resolve_greeting(_root, _info):
        return "hello"

application = Application(resources=[Note], query=Query)
wsgi = application.wsgi
"""

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="its environments are made in another way")


# Versions


def _pins(file: str) -> dict[str, Requirement]:
    """What a file of requirements pins for its own sake, and not because the others need it."""
    text = (ROOT / file).read_text(encoding="utf-8").partition("# what these need")[0]
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("-r")]
    return {canonicalize_name(pin.name): pin for pin in found}


def _ranges(extra: str | None) -> dict[str, Requirement]:
    """What pyproject.toml asks for; psycopg[binary] is psycopg and psycopg-binary."""
    listed = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    found = [item for item in map(Requirement, listed) if item.name != PROJECT["name"]]
    return {
        canonicalize_name(name): item
        for item in found
        for name in (item.name, *(f"{item.name}-{part}" for part in item.extras))
    }


@pytest.mark.parametrize(
    ("file", "extra"),
    [("requirements.txt", None), ("requirements-postgres.txt", "postgres"), ("requirements-stack.txt", "stack")],
)
def test_every_range_contains_the_version_that_is_pinned(file: str, extra: str | None) -> None:
    pins, ranges = _pins(file), _ranges(extra)
    assert set(pins) == set(ranges)
    for name, pin in pins.items():
        [version] = pin.specifier
        assert version.operator == "=="
        assert version.version in ranges[name].specifier, name
        assert {bound.operator for bound in ranges[name].specifier} == {">=", "<"}
        assert str(pin.marker) == str(ranges[name].marker)


def test_the_extra_of_the_stack_has_that_of_postgresql_as_its_requirements_have() -> None:
    assert f"{PROJECT['name']}[postgres]" in PROJECT["optional-dependencies"]["stack"]
    assert "-r requirements-postgres.txt" in (ROOT / "requirements-stack.txt").read_text(encoding="utf-8")


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this clone."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z", "afterwrite"], cwd=ROOT, check=True, capture_output=True)
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert set(listed.stdout.decode().rstrip("\0").split("\0")) <= packed
    assert {name.partition("/")[0] for name in packed} == {
        "afterwrite",
        "async_db.py",
        f"afterwrite-{VERSION}.dist-info",
    }


@posix_only
def test_an_installed_program_that_lacks_a_package_names_it_in_one_line(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    run = subprocess.run(
        [sys.executable, "-S", "-m", "afterwrite", "worker"],  # -S: no site-packages
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1
    assert re.fullmatch(r"worker: this Python \(.*\) does not have the package \w+: install it\n", run.stderr)


# What it installs


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An environment with the wheel, and an empty folder."""
    return Installation(wheel, tmp_path_factory.mktemp("installation"))


@posix_only
def test_the_command_names_its_programs_and_refuses_others_in_one_line(installation: Installation) -> None:
    for module in ("afterwrite", "async_db"):
        code, said, _ = installation.run("python", "-c", f"import {module}; print({module}.__file__)")
        assert (code, Path(said).is_relative_to(installation.programs.parent)) == (0, True)
    code, said, _ = installation.run("afterwrite", "--help")
    assert code == 0
    assert set(PROGRAMS) <= set(said.split())
    assert installation.run("afterwrite", "srve") == (
        2,
        "",
        "afterwrite: there is no program 'srve': did you mean serve?\n",
    )
    for name, file in (("app", "app.py"), ("shop.app", "shop/app.py")):
        code, _, line = installation.run("afterwrite", "serve", name)
        assert (code, line.count("\n")) == (1, 1)
        assert line.startswith(f"afterwrite: there is no {file} in {installation.folder}: ")
    assert not installation.folder.joinpath("data").exists()


@posix_only
def test_an_application_of_a_few_lines_is_served_from_its_own_folder(installation: Installation) -> None:
    folder = installation.folder
    folder.joinpath("app.py").write_text(APPLICATION, encoding="utf-8")
    code, said, complained = installation.run("afterwrite", "init-db")
    assert (code, "The schema" in said) == (0, True), complained
    folder.joinpath("notes.csv").write_text("text\nremember\n", encoding="utf-8")
    code, said, complained = installation.run("afterwrite", "init-db", "notes.csv")
    assert (code, "1 note" in said) == (0, True), said + complained
    code, secret, _ = installation.run("afterwrite", "key", "add", "ann", "--role", "read")
    assert code == 0
    assert {"products.db", "api-keys"} <= {path.name for path in folder.joinpath("data").iterdir()}

    process = installation.start("afterwrite", "serve")
    try:
        wait_until(lambda: process.poll() is not None or installation.answers(), timeout=120)
        assert process.poll() is None, process.communicate()
        with contextlib.closing(Client(installation.port)) as client:
            headers = {"Authorization": f"Bearer {secret.strip()}", "Content-Type": "application/json"}
            asked = b'{"query": "{ greeting allNotes { text } tasks { totalCount } }"}'
            status, body = client.request("POST", "/graphql", asked, headers)
            assert (status, body) == (
                200,
                b'{"data":{"greeting":"hello","allNotes":[{"text":"remember"}],"tasks":{"totalCount":0}}}',
            )
            for path in ("/", "/writes", "/static/graphiql/graphiql.svg", "/console/console.css", "/openapi.json"):
                assert client.request("GET", path, headers=headers)[0] == 200, path
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
