"""Tests the parts of dev.py that need no server: its environment, what it removes, and the log."""

import subprocess
import sys
from pathlib import Path

import pytest

from devkit import environment, log_lines, removal
from devkit.errors import CommandError

ROOT = Path(__file__).resolve().parents[2]


# The environment


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that needs no package, seen from a Python outside every virtual environment."""
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    (tmp_path / environment.TO_RUN).write_text("# nothing\n")
    (tmp_path / environment.TO_DEVELOP).write_text("-r requirements.txt\n")
    return tmp_path


def test_an_environment_is_made_once_completed_when_asked_and_redone_when_broken(project: Path) -> None:
    said: list[str] = []
    made, redone = (f"Making {project / '.venv'}", f"Making {project / '.venv'} again: it was unfinished or broken")

    def steps(requirements: str) -> list[str]:
        said.clear()
        python = environment.ready_python(project, requirements, said.append)
        assert python.is_relative_to(project / ".venv")
        return list(said)

    assert steps(environment.TO_RUN) == [made, "Installing requirements.txt"]
    assert steps(environment.TO_RUN) == []
    assert steps(environment.TO_DEVELOP) == ["Installing requirements-dev.txt"]
    assert steps(environment.TO_RUN) == steps(environment.TO_DEVELOP) == []

    (project / environment.TO_RUN).write_text("# changed\n")
    assert steps(environment.TO_DEVELOP) == ["Installing requirements-dev.txt"]

    (project / ".venv" / environment.STAMP).unlink()  # as after an installation that was interrupted
    assert steps(environment.TO_RUN) == [redone, "Installing requirements.txt"]


def test_a_separate_environment_is_kept_until_its_requirements_change(tmp_path: Path) -> None:
    requirements, folder = tmp_path / "tool.txt", tmp_path / "tool"
    requirements.write_text("# nothing\n")
    programs = environment.separate_environment(folder, requirements)
    assert (programs / "pip").exists()
    mark = folder / "of the first one"
    mark.touch()
    environment.separate_environment(folder, requirements)
    assert mark.exists()
    requirements.write_text("# changed\n")
    environment.separate_environment(folder, requirements)
    assert not mark.exists()


def test_a_package_that_cannot_be_installed_leaves_no_stamp(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "call", lambda *_, **__: 1)
    monkeypatch.setattr(environment, "make", lambda folder, _: folder.mkdir())
    with pytest.raises(CommandError, match=r"pip could not install requirements.txt \(exit code 1\)"):
        environment.ready_python(project, environment.TO_RUN, print)
    assert environment.read_stamps(project / ".venv") == {}


def test_a_python_without_venv_is_told_the_name_of_the_package(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    with pytest.raises(CommandError, match=f"apt-get install {package}"):
        environment.ready_python(project, environment.TO_RUN, print)


def test_pins_are_those_of_this_platform_and_of_included_files(tmp_path: Path) -> None:
    (tmp_path / "inner.txt").write_text(f'a==1.0\nb==2.0; sys_platform != "{sys.platform}"\n')
    (tmp_path / "outer.txt").write_text(f"# why\n-r inner.txt\nc==3.0; sys_platform == '{sys.platform}'  # so\n\n")
    assert list(environment.pins(tmp_path / "outer.txt")) == [("a", "1.0"), ("c", "3.0")]


def test_a_pin_in_another_version_is_missing(tmp_path: Path) -> None:
    listed = tmp_path / "requirements.txt"
    listed.write_text("flask==0.1\nno-such-package==1\n")
    assert environment.missing_packages(listed) == ["flask==0.1", "no-such-package==1"]
    assert environment.missing_packages(ROOT / environment.TO_RUN) == []


def test_the_digest_changes_with_an_included_file(project: Path) -> None:
    before = environment.digest_of(project / environment.TO_DEVELOP)
    (project / environment.TO_RUN).write_text("# other\n")
    assert environment.digest_of(project / environment.TO_DEVELOP) != before


# Removing


def test_clean_removes_what_was_made_here(tmp_path: Path) -> None:
    for name in ("data/journal.db", ".venv/pyvenv.cfg", ".ruff_cache/x", "package/__pycache__/x", "package/x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    removal.remove(removal.made_here(tmp_path / "data", tmp_path))
    assert [path.name for path in tmp_path.rglob("*")] == ["package", "x.py"]


def test_clean_refuses_a_folder_that_is_not_a_data_folder(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-mother.txt").touch()
    with pytest.raises(CommandError, match="does not look like a data folder"):
        removal.made_here(tmp_path / "letters", tmp_path / "project")


def test_clean_refuses_a_folder_that_holds_more_than_the_data(tmp_path: Path) -> None:
    (tmp_path / "journal.db").touch()
    for folder in (tmp_path, tmp_path.parent):
        with pytest.raises(CommandError, match="does not look like a data folder"):
            removal.made_here(folder, tmp_path)


# The log


def test_the_last_lines_of_a_long_log_are_read_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(30_000)))
    assert log_lines.last_lines(log, 3) == ["line 29997", "line 29998", "line 29999"]
    assert len(log_lines.last_lines(log, 20_000)) == 20_000
    assert log_lines.last_lines(tmp_path / "none", 3) == []


def test_a_followed_log_shows_what_is_added_and_starts_again_when_it_is_replaced(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntwo\n")
    followed = log_lines.follow(log, 1)
    assert next(followed) == "two\n"
    with log.open("a") as end:
        end.write("three\n")
    assert next(followed) == "three\n"
    log.write_text("new\n")
    assert next(followed) == "new\n"
