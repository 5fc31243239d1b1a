"""Another commit of this repository, to be measured beside the working tree."""

import subprocess
from pathlib import Path

from bench.servers import PROJECT


def commit(name: str) -> str:
    """Return the short hash of the commit that a branch, a hash or `HEAD~1` names; ValueError if none does."""
    return _git(PROJECT, "rev-parse", "--short", "--verify", f"{name}^{{commit}}").strip()


def checked_out(commit: str, folder: Path) -> Path:
    """Clone the repository into `folder` at `commit`; return the folder."""
    _git(PROJECT, "clone", "--quiet", "--shared", "--no-checkout", str(PROJECT), str(folder))
    _git(folder, "checkout", "--quiet", "--detach", commit)
    return folder


def _git(where: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=where, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise ValueError(f"git {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout
