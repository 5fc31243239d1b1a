"""Starts, finds and stops the background server of a data folder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from afterwrite.base.durable_file import make_folder, replace_file
from afterwrite.base.settings import Settings
from devkit.errors import CommandError
from devkit.health import PAUSE_SECONDS, wait_until_healthy
from devkit.log_lines import last_lines
from devkit.place import ROOT, Place, port_is_free
from devkit.process_identity import lifetime

START_SECONDS = 60.0
STOP_MARGIN_SECONDS = 15.0
LEFT_BEHIND_SECONDS = 5.0
# Left out of a record's settings: the record stores the address and is in DATA_DIR; ENV_FILE becomes "off" when read.
_OF_THE_PLACE = {"HOST", "PORT", "DATA_DIR", "ENV_FILE"}


@dataclass(frozen=True)
class Running:
    """A server process; `lifetime` distinguishes it from a later process with the same pid.

    `settings` are the names of the settings that it was started with, without their values.
    """

    pid: int
    lifetime: str
    host: str
    port: int
    in_background: bool
    settings: tuple[str, ...] = ()


def place_of(server: Running, place: Place) -> Place:
    """Return `place` with the server's actual address, as PORT may have changed since its start."""
    return replace(place, host=server.host, port=server.port)


def running(place: Place) -> Running | None:
    """Return the running server of the data folder, or None."""
    try:
        kept = json.loads(place.record_path.read_text(encoding="utf-8"))
        found = Running(**{**kept, "settings": tuple(kept.get("settings", ()))})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return found if lifetime(found.pid) == found.lifetime else None


def record(place: Place, pid: int, *, in_background: bool) -> Running | None:
    """Record that process `pid` serves this place; return None if it has already ended."""
    born = lifetime(pid)
    if born is None:
        return None
    server = Running(pid, born, place.host, place.port, in_background, _given_settings())
    make_folder(place.data_dir)
    replace_file(place.record_path, json.dumps(asdict(server)))
    return server


def lost_settings(server: Running) -> list[str]:
    """Return the names of the server's settings that a server started now would not have."""
    return sorted(set(server.settings) - set(_given_settings()))


def require_free_port(place: Place) -> None:
    """Raise CommandError if another program listens at the address."""
    # A killed server leaves its record, and its child processes release the port a moment later.
    until = time.monotonic() + (LEFT_BEHIND_SECONDS if place.record_path.exists() else 0)
    while not port_is_free(place.host, place.port):
        if time.monotonic() >= until:
            raise CommandError(
                f"cannot listen on {place.host}:{place.port}: the port is in use, or this machine does not "
                f"have the address. Stop the other program, or choose a port, for example PORT={place.port + 1}"
            )
        time.sleep(PAUSE_SECONDS)


def start(
    place: Place, python: Path, limit_seconds: float = START_SECONDS, program: Sequence[str] = ("app.py",)
) -> Running:
    """Start the server in the background and return when /health answers.

    Raises CommandError with the last lines of its output if it dies or does not answer in time. In the second
    case it keeps running, as it may still be replaying a long journal.
    """
    require_free_port(place)
    make_folder(place.data_dir)
    process = _spawn(place, python, program)
    try:
        server = record(place, process.pid, in_background=True)
        healthy = wait_until_healthy(place, limit_seconds, alive=lambda: process.poll() is None)
    except KeyboardInterrupt:  # cancels the start
        _ask_to_stop(process.pid)
        process.wait()
        place.record_path.unlink(missing_ok=True)
        raise
    code = process.poll()
    if code is None:
        process.returncode = 0  # suppresses the warning about a child that outlives this program
    if healthy and server:
        return server
    raise _not_started(place, process.pid, code, limit_seconds)


def stop(place: Place, server: Running) -> float:
    """Stop the server, wait until it has drained and ended, and return the seconds that took."""
    began = time.monotonic()
    limit = place.stop_seconds + STOP_MARGIN_SECONDS
    _ask_to_stop(server.pid)
    while lifetime(server.pid) == server.lifetime:
        if time.monotonic() - began > limit:
            raise CommandError(
                f"the server (pid {server.pid}) still runs {limit:g} s after it was asked to stop. Try "
                f"again, or kill it by its pid: the journal keeps every write that it has answered"
            )
        time.sleep(PAUSE_SECONDS)
    place.record_path.unlink(missing_ok=True)
    return time.monotonic() - began


def _given_settings() -> tuple[str, ...]:
    names = sorted({item.name.upper() for item in fields(Settings)} - _OF_THE_PLACE)
    return tuple(name for name in names if os.environ.get(name, "").strip())


def _not_started(place: Place, pid: int, code: int | None, limit_seconds: float) -> CommandError:
    lines = "\n".join(f"    {line}" for line in last_lines(place.output_path, 20))
    end = f"The end of {place.output_path}:\n{lines}"
    if code is None:
        return CommandError(
            f"the server (pid {pid}) is not ready after {limit_seconds:g} s and is still starting. "
            f"Follow it with `logs`, or `stop` it. {end}"
        )
    place.record_path.unlink(missing_ok=True)
    return CommandError(f"the server ended with exit code {code} during startup. {end}")


def _spawn(place: Place, python: Path, program: Sequence[str]) -> subprocess.Popen[bytes]:
    with place.output_path.open("wb") as output:
        return subprocess.Popen(
            [str(python), *program],
            cwd=ROOT,
            env=place.environment() | {"LOG_STDERR": "off"},  # it logs to a file
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **_DETACHED,
        )


if sys.platform == "win32":
    _DETACHED: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}

    def _ask_to_stop(pid: int) -> None:
        # A console event reaches only processes of the caller's own console, so a short-lived
        # process joins the server's console and sends the event from there.
        code = (
            "import ctypes; k = ctypes.WinDLL('kernel32'); k.FreeConsole(); "
            f"raise SystemExit(not (k.AttachConsole({pid}) and k.GenerateConsoleCtrlEvent(1, {pid})))"
        )
        if subprocess.call([sys.executable, "-c", code]) != 0:
            os.kill(pid, signal.SIGTERM)  # terminates it at once; the journal keeps every answered write

else:
    _DETACHED: dict[str, Any] = {"start_new_session": True}  # so that Ctrl-C in this terminal does not reach it

    def _ask_to_stop(pid: int) -> None:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return  # it has just ended
