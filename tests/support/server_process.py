"""A real server process, one of workers, and a real HTTP client."""

import contextlib
import http.client
import itertools
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from databases import Database

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 30


# Below the ephemeral ports, where any outgoing connection could take one before the server listens on it; a thousand
# for each worker of pytest-xdist, which begins at a random one, so that no two tests are given the same. Above 10080,
# which Chromium refuses to open.
_FIRST_PORT = 11_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_TURNS = itertools.count(secrets.randbelow(1_000))


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens, and that no other test of this run is given."""
    return next(port for turn in _TURNS if _is_free(port := _FIRST_PORT + turn % 1_000))


def _is_free(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class ServerProcess:
    """``python app.py`` in a process group of its own, on a free port, over one data folder."""

    program: tuple[str, ...] = ("app.py",)

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment
        self.process: subprocess.Popen[str] | None = None
        self._errors = data_dir.with_name(f".{data_dir.name}.errors")  # what it says of a start that fails
        self._database: Database | None = None

    @classmethod
    def on(cls, database: "Database", **environment: str) -> "ServerProcess":
        """A process on a database."""
        made = cls(database.folder, **{**database.environment, **environment})
        made._database = database
        return made

    @property
    def database(self) -> "Database":
        """What it keeps its data in."""
        from databases import EmbeddedDatabase

        return self._database or EmbeddedDatabase(self.data_dir)

    @property
    def log(self) -> str:
        """All that the server logged in this data folder."""
        path = self.data_dir / "afterwrite.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def launch(self, *before: str, **options: Any) -> subprocess.Popen[str]:
        """Start the process, ``before`` put in front of its command line, and return at once."""
        environment = os.environ | {"DATA_DIR": str(self.data_dir), "PORT": str(self.port)} | self.environment
        keeps = options.pop("keep_errors", False)
        stderr = subprocess.PIPE if keeps else self._open_errors()
        self.process = subprocess.Popen(
            [*before, sys.executable, *self.program],
            env=environment,
            cwd=options.pop("cwd", ROOT),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
            text=True,
            **options,
        )
        if not keeps:
            os.close(stderr)
        return self.process

    def _open_errors(self) -> int:
        self._errors.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self._errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def start(self, *before: str, **options: Any) -> "ServerProcess":
        """Return when /ready answers."""
        process = self.launch(*before, **options)
        deadline = time.monotonic() + READY_SECONDS
        while not self.ready():
            if process.poll() is not None:
                told = self._errors.read_text(encoding="utf-8", errors="replace")[-3000:] + self.log[-3000:]
                raise AssertionError(f"the server ended with {process.returncode}:\n{told}")
            if time.monotonic() > deadline:
                raise AssertionError(f"the server was not ready in {READY_SECONDS} s:\n{self.log[-3000:]}")
            time.sleep(0.02)  # between two tries of a condition that has no event to wait for
        return self

    def kill(self) -> None:
        """SIGKILL the whole process group, as a power cut would end it."""
        if self.process is not None:
            if sys.platform == "win32":
                self.process.kill()
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
            with watched(process_group(self.process.pid)) as ended:
                ended(READY_SECONDS)  # a worker that is not quite dead would still own the journal
            self.process.wait()
            self._close_pipe()
            self.process = None

    def stop(self, timeout: float = 60) -> int:
        """SIGTERM, and wait for the drain; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.ended(timeout)

    def ended(self, timeout: float = 60) -> int:
        """Wait for the end of a process that was told to stop; returns the exit code.

        Told once: Python's own end takes its signal handlers away, and a second SIGTERM then would be the exit code.
        """
        assert self.process is not None
        code = self.process.wait(timeout)
        self._close_pipe()
        self.process = None
        return code

    def client(self) -> "Client":
        """A new keep-alive client."""
        return Client(self.port)

    def query(self, document: str, variables: dict[str, Any] | None = None) -> Any:
        """The data of a document that must have no errors."""
        with contextlib.closing(self.client()) as client:
            return client.query(document, variables)

    def cookie_of(self, path: str) -> str:
        """The cookie that a page sets, as a browser sends it back."""
        with contextlib.closing(self.client()) as client:
            return client.cookie_of(path)

    def get(self, path: str) -> tuple[int, bytes]:
        """The status and the body of a GET."""
        with contextlib.closing(self.client()) as client:
            return client.request("GET", path)

    def ready(self) -> bool:
        """Whether /ready answers 200."""
        try:
            return self.get("/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def worker(self) -> int:
        """The process of this server that has the journal open; 0 while there is none. Linux only."""
        assert self.process is not None
        journal = self.data_dir / "journal.db"
        owners = [pid for pid in process_group(self.process.pid) if journal in _open_files(pid)]
        assert len(owners) <= 1
        return owners[0] if owners else 0

    def _close_pipe(self) -> None:
        if self.process is not None and self.process.stderr is not None:
            self.process.stderr.close()


class WorkerProcess(ServerProcess):
    """``afterwrite worker`` in a process group of its own; its port is that of its figures."""

    program: tuple[str, ...] = ("-m", "afterwrite", "worker")

    def __init__(self, data_dir: Path, *arguments: str, **environment: str) -> None:
        super().__init__(data_dir, **environment)
        self.program = (*self.program, *arguments)
        self.environment = {"METRICS_PORT": str(self.port), **environment}

    def ready(self) -> bool:
        """Whether it answers /metrics, which it does when it runs tasks."""
        try:
            return self.get("/metrics")[0] == 200
        except (OSError, http.client.HTTPException):
            return False


class ConsumerProcess(WorkerProcess):
    """``afterwrite consumer``, in the same way."""

    program = ("-m", "afterwrite", "consumer")


class NotificationProcess(WorkerProcess):
    """``afterwrite notification``, in the same way."""

    program = ("-m", "afterwrite", "notification")


def process_group(leader: int) -> list[int]:
    """The processes of a process group (from /proc; none where there is no /proc)."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[2]) == leader:
                found.append(int(status.parent.name))
    return found


def _open_files(pid: int) -> set[Path]:
    found = set()
    with contextlib.suppress(OSError):  # it ended meanwhile
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.add(handle.readlink())
    return found


@contextlib.contextmanager
def watched(pids: list[int]) -> Iterator[Callable[[float], None]]:
    """Gives a function that waits until all of these processes have ended; they need not be our children."""
    with contextlib.ExitStack() as stack:
        handles = []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                handles.append(os.pidfd_open(pid))
                stack.callback(os.close, handles[-1])

        def ended(timeout: float) -> None:
            deadline = time.monotonic() + timeout
            for handle in handles:  # readable once the process has ended, with all its threads
                left = max(0, deadline - time.monotonic())
                assert select.select([handle], [], [], left)[0], f"a process has not ended in {timeout} s"

        yield ended


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """The status and the body of an answer."""
        self.connection.request(method, path, body, headers or {})
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def cookie_of(self, path: str) -> str:
        """The cookie that a page sets, as a browser sends it back."""
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        answer.read()
        return str(answer.headers["Set-Cookie"]).partition(";")[0]

    def execute(self, document: str, variables: dict[str, Any] | None = None) -> Any:
        """The whole answer, errors included."""
        body = json.dumps({"query": document, "variables": variables or {}}).encode()
        _status, answer = self.request("POST", "/graphql", body, {"Content-Type": "application/json"})
        return json.loads(answer)

    def query(self, document: str, variables: dict[str, Any] | None = None) -> Any:
        """The data of a document that must have no errors."""
        answer = self.execute(document, variables)
        assert "errors" not in answer, answer
        return answer["data"]

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def wait_until(condition: Callable[[], Any], timeout: float = 30) -> Any:
    """Ask until the condition holds, with a time limit; for conditions of another process."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not reached in {timeout} s"
        time.sleep(0.02)
    return found
