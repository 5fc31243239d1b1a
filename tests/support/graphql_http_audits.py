"""Runs the public audit of GraphQL over HTTP, from the npm package graphql-http, against any URL."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from npm_packages import installed

PACKAGES = ("graphql-http@1.23.1", "graphql@16.12.0")
AUDITS_IN_THIS_VERSION = 61


def failed_audits(url: str) -> list[dict[str, str]]:
    """Returns every audit that is not ok at the GraphQL endpoint `url`, with its name and reason."""
    folder = installed(*PACKAGES)
    script = shutil.copy(Path(__file__).with_name("audit.mjs"), folder)
    run = subprocess.run(["node", script, url], cwd=folder, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    results: list[dict[str, str]] = json.loads(run.stdout)
    assert len(results) == AUDITS_IN_THIS_VERSION
    return [result for result in results if result["status"] != "ok"]
