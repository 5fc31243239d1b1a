"""Runs the public audit of GraphQL over HTTP, from the npm package graphql-http, against any URL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

PACKAGES = ("graphql-http@1.23.1", "graphql@16.12.0")
AUDITS_IN_THIS_VERSION = 61


def failed_audits(url: str) -> list[dict[str, str]]:
    """Returns every audit that is not ok at the GraphQL endpoint `url`, with its name and reason.

    The packages are installed once, in a folder outside the tree. Without node, npm or the registry the test
    is skipped, or fails where the environment variable CI is set.
    """
    folder = _installed()
    script = shutil.copy(Path(__file__).with_name("audit.mjs"), folder)
    run = subprocess.run(["node", script, url], cwd=folder, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    results: list[dict[str, str]] = json.loads(run.stdout)
    assert len(results) == AUDITS_IN_THIS_VERSION
    return [result for result in results if result["status"] != "ok"]


def missing(reason: str) -> NoReturn:
    """Skips the test for want of something on this machine, or fails it in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; CI has to have it")
    pytest.skip(reason)


def _installed() -> Path:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        missing("node or npm is not installed")
    folder = Path(tempfile.gettempdir()) / ("afterwrite-" + "-".join(PACKAGES).replace("@", "-"))
    if not (folder / "installed").exists():
        folder.mkdir(exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        install = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        if install.returncode:
            missing(f"npm could not install {' and '.join(PACKAGES)}: {install.stderr[-500:]}")
        (folder / "installed").touch()
    return folder
