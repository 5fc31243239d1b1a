"""The worker processes of a measurement."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent
STOP_SECONDS = 30
_POLL_SECONDS = 0.003


class Processes:
    """Running processes, with their output in files."""

    def __init__(self, folder: Path, commands: Sequence[Sequence[str]], settings: Mapping[str, str]) -> None:
        """``settings`` extend this process's environment; ``folder`` gets the output."""
        self._outputs = [folder / f"process-{number}.out" for number in range(len(commands))]
        self._processes = [
            _start(command, output, os.environ | settings)
            for command, output in zip(commands, self._outputs, strict=True)
        ]

    def wait_until(
        self, is_so: Callable[[], bool], what: str, within_seconds: float, poll_seconds: float = _POLL_SECONDS
    ) -> None:
        """Poll ``is_so``; RuntimeError if a process ends first, or on timeout."""
        until = time.monotonic() + within_seconds
        while not is_so():
            self._check()
            if time.monotonic() > until:
                raise RuntimeError(f"{what}: not within {within_seconds:g} s{self._output()}")
            time.sleep(poll_seconds)

    def stop(self) -> None:
        """Send SIGTERM to all and wait; kill those that do not end."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + STOP_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _check(self) -> None:
        for process in self._processes:
            if process.poll() is not None:
                raise RuntimeError(f"{process.args!r} stopped with {process.returncode}{self._output()}")

    def _output(self) -> str:
        texts = [output.read_text(errors="replace").strip()[-2_000:] for output in self._outputs]
        return "".join(f"\n{text}" for text in texts if text)


@contextlib.contextmanager
def running(folder: Path, commands: Sequence[Sequence[str]], settings: Mapping[str, str]) -> Iterator[Processes]:
    """Run one process per command until the end of the block."""
    processes = Processes(folder, commands, settings)
    try:
        yield processes
    finally:
        processes.stop()


def _start(command: Sequence[str], output: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    with output.open("wb") as out:
        return subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=out, stderr=subprocess.STDOUT)
