"""Tests the accounting of a server's processor time and memory over all of its processes."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench import process_tree

BURNT_SECONDS = 0.5
HELD_BYTES = 100_000_000
# A child that uses processor time and memory, then waits; its parent says what it has seen and waits as well.
CHILD = f"""
import sys, time
held = bytes({HELD_BYTES}).replace(bytes(1), b"x")
until = time.process_time() + {BURNT_SECONDS}
while time.process_time() < until: pass
print(flush=True)
sys.stdin.read()
"""
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print("the child has burnt its time", flush=True)
sys.stdin.readline()
child.communicate()
print("the child has ended", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def parent() -> Iterator["subprocess.Popen[str]"]:
    """The parent, whose child has burnt its time and waits."""
    command, pipe = [sys.executable, "-c", PARENT], subprocess.PIPE
    with subprocess.Popen(command, encoding="utf-8", stdin=pipe, stdout=pipe) as process:
        assert said(process) == "the child has burnt its time"
        yield process
        process.communicate("\n\n")


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_the_time_of_a_child_counts_once_while_it_lives_and_after_its_end(parent: "subprocess.Popen[str]") -> None:
    alive = process_tree.cpu_seconds(parent.pid)
    assert alive >= BURNT_SECONDS
    assert parent.stdin
    parent.stdin.write("\n")
    parent.stdin.flush()
    assert said(parent) == "the child has ended"
    ended = process_tree.cpu_seconds(parent.pid)
    assert alive <= ended < alive + BURNT_SECONDS


def test_the_memory_of_a_child_counts(parent: "subprocess.Popen[str]") -> None:
    assert HELD_BYTES < process_tree.resident_bytes(parent.pid) < HELD_BYTES + 100_000_000
