"""Starts and stops the measured servers, each in a new process on a free port."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import process_tree

PROJECT = Path(__file__).parent.parent
PORT = "{port}"
THREADS = 32
START_SECONDS = 60
STOP_SECONDS = 30


@dataclass(frozen=True)
class Server:
    """A ready server: its port, its data folder, and its startup time."""

    port: int
    folder: Path
    process: "subprocess.Popen[bytes]"
    ready_seconds: float

    def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """Return the `data` of one GraphQL answer; RuntimeError if it has errors."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            body = json.dumps({"query": document, "variables": variables})
            connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if answer.get("errors"):
            raise RuntimeError(f"{document} was answered with errors: {answer['errors']}")
        data: dict[str, Any] = answer["data"]
        return data

    def cpu_seconds(self) -> float:
        """Return the user and system time that all processes of the server have used."""
        return process_tree.cpu_seconds(self.process.pid)

    def resident_bytes(self) -> int:
        """Return the resident memory of all processes of the server."""
        return process_tree.resident_bytes(self.process.pid)

    def kill(self) -> None:
        """Send SIGKILL to all processes of the server, and wait for its end."""
        _kill(self.process)

    def stop(self) -> float:
        """Send SIGTERM, wait for the exit and return its seconds; kill it after STOP_SECONDS."""
        begin = time.perf_counter()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        return time.perf_counter() - begin


def afterwrite(folder: Path, **settings: str) -> AbstractContextManager[Server]:
    """Run `app.py` under Granian on `folder`, ready when /ready answers 200."""
    return _application(["app.py"], folder, settings, PROJECT)


def afterwrite_of(project: Path, folder: Path) -> AbstractContextManager[Server]:
    """Run `app.py` of another working tree in the same environment."""
    return _application(["app.py"], folder, {}, project)


def interpreted(folder: Path) -> AbstractContextManager[Server]:
    """Run the same application without compiled execution."""
    return _application(["-m", "bench.interpreted_app"], folder, {}, PROJECT)


def _application(
    program: list[str], folder: Path, settings: dict[str, str], project: Path
) -> AbstractContextManager[Server]:
    settings |= {"DATA_DIR": str(folder), "SERVER": "granian", "THREADS": str(THREADS), "LOG_LEVEL": "warning"}
    return running([sys.executable, *program], folder, settings, "/ready", project)


def plain(folder: Path) -> AbstractContextManager[Server]:
    """Run the plain version under the same Granian, with the same number of threads."""
    settings = {"PLAIN_DATABASE": str(folder / "products.db")}
    return running(_granian("bench.plain_app:create_app"), folder, settings, "/graphql")


def hello(folder: Path) -> AbstractContextManager[Server]:
    """Run `hello_app` under the same Granian, with the same number of threads."""
    return running(_granian("bench.hello_app:create_app"), folder, {}, "/")


def load_file(folder: Path, file: Path, *options: str, project: Path = PROJECT) -> float:
    """Load `file` into the data folder with the project's init_db.py in a new process; return the seconds it took."""
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "init_db.py", str(file), *options],
        cwd=project,
        env=os.environ | {"DATA_DIR": str(folder)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"init_db.py stopped with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return time.perf_counter() - begin


def _granian(target: str) -> list[str]:
    options = [
        "--host",
        "127.0.0.1",
        "--port",
        PORT,
        "--factory",
        "--interface",
        "wsgi",
        "--workers",
        "1",
        "--blocking-threads",
        str(THREADS),
    ]
    return [sys.executable, "-m", "granian", *options, "--no-ws", "--log-level", "warning", target]


@contextlib.contextmanager
def running(
    command: list[str], folder: Path, settings: dict[str, str], path: str, work_folder: Path = PROJECT
) -> Iterator[Server]:
    """Run a command until the end of the block; it is ready when it answers on `path`.

    It gets its port in the environment and in place of PORT.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    address = {"HOST": "127.0.0.1", "PORT": str(port)}
    command = [part.replace(PORT, str(port)) for part in command]
    output = folder / "server.out"
    begin = time.perf_counter()
    with output.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=work_folder, env=os.environ | address | settings, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        _wait_until_ready(process, port, path, output)
    except BaseException:
        _kill(process)
        raise
    server = Server(port, folder, process, time.perf_counter() - begin)
    try:
        yield server
    finally:
        server.stop()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End the first process first: it would start its workers again."""
    for pid in process_tree.pids(process.pid) if process.poll() is None else []:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, path: str, output: Path) -> None:
    until = time.perf_counter() + START_SECONDS
    while time.perf_counter() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} stopped with {process.returncode}: {_end_of(output)}")
        if answers(port, path):
            return
        time.sleep(0.01)
    raise RuntimeError(f"{process.args!r} did not answer on {path} in {START_SECONDS} s: {_end_of(output)}")


def answers(port: int, path: str) -> bool:
    """Return whether a server answers on a path; errors of the client count, because some serve only POST there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def free_port() -> int:
    """Return a currently free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _end_of(output: Path) -> str:
    return output.read_text(errors="replace")[-2000:]
