"""Sets the clock of a process, and of no other one."""

import os
from pathlib import Path

import pytest


def clock_set(offset: str) -> dict[str, str]:
    """The environment of a process whose clock is off by so much, such as ``+5m``.

    Without faketime the test is skipped, save in CI.
    """
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found and os.environ.get("CI"):
        pytest.fail("CI has to have faketime")
    if not found:
        pytest.skip("faketime is not installed")
    return {"LD_PRELOAD": str(found[0]), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
