"""Installs packages from npm for the tests that need them, once for this machine, in a folder outside the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest


def installed(*packages: str) -> Path:
    """Returns a folder whose `node_modules` has these packages, each given as name@version.

    Without node, npm or the registry the test is skipped, or fails where the environment variable CI is set.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        missing("node or npm is not installed")
    name = "-".join(packages).replace("@", "-").replace("/", "-")
    folder = Path(tempfile.gettempdir()) / f"afterwrite-{name}"
    if not (folder / "installed").exists():
        folder.mkdir(exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
        install = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        if install.returncode:
            missing(f"npm could not install {' and '.join(packages)}: {install.stderr[-500:]}")
        (folder / "installed").touch()
    return folder


def missing(reason: str) -> NoReturn:
    """Skips the test for want of something on this machine, or fails it in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; CI has to have it")
    pytest.skip(reason)
