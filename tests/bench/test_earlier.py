"""Tests that another commit can be measured beside the working tree."""

import subprocess
from pathlib import Path

import pytest

from bench import earlier


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of two commits, and a change that is in none."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.setattr(earlier, "PROJECT", folder)
    git(folder, "init", "--quiet")
    for text in ("first", "second"):
        folder.joinpath("app.py").write_text(text)
        git(folder, "add", "app.py")
        git(folder, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "--message", text)
    folder.joinpath("app.py").write_text("changed")
    return folder


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def test_a_commit_is_checked_out_elsewhere_and_the_working_tree_stays(repository: Path, tmp_path: Path) -> None:
    before = earlier.checked_out(earlier.commit("HEAD~1"), tmp_path / "before")
    assert before.joinpath("app.py").read_text() == "first"
    assert repository.joinpath("app.py").read_text() == "changed"


@pytest.mark.usefixtures("repository")
def test_a_name_of_no_commit_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        earlier.commit("nowhere")
