"""More connections than a server has threads, that say nothing, or little: others are answered all the same."""

import contextlib
import http.client
import resource
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from server_process import ServerProcess, wait_until

from afterwrite.server.connections import CONNECTIONS_MAX, HEAD_SECONDS

pytestmark = pytest.mark.skipif(shutil.which("prlimit") is None, reason="limits descriptors with prlimit")

KINDS = ("granian", "gunicorn")
CONNECTIONS = 1_300
PROMPT_SECONDS = 10.0
LONGEST_SECONDS = 35.0
HEAD = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX-Slow: "

JSON = {"Content-Type": "application/json"}

Opened = list[socket.socket]


@pytest.fixture(scope="module", autouse=True)
def descriptors() -> Iterator[None]:
    """Descriptors for the connections of these tests."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ServerProcess]]:
    """A server of each kind, started with the limit of descriptors that most systems have."""
    started = {kind: ServerProcess(tmp_path_factory.mktemp(kind), SERVER=kind) for kind in KINDS}
    try:
        for server in started.values():
            server.start("prlimit", "--nofile=1024:8192")
        yield started
    finally:
        for server in started.values():
            server.kill()


@contextlib.contextmanager
def opened(server: ServerProcess, count: int) -> Iterator[Opened]:
    """Connections that say nothing; the system takes them, whether or not the server does."""
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                connection.connect(("127.0.0.1", server.port))
            connections.append(connection)
        yield connections


@contextlib.contextmanager
def slow_heads(connections: Opened) -> Iterator[None]:
    """Send a byte of a head on each connection every second."""
    over = threading.Event()

    def send() -> None:
        for byte in HEAD + b"x" * 1_000:
            for connection in connections:
                with contextlib.suppress(OSError):  # not connected yet, or closed by the server
                    connection.send(bytes([byte]))
            if over.wait(1):
                return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()


def nothing(_connections: Opened) -> contextlib.AbstractContextManager[None]:
    """Say nothing."""
    return contextlib.nullcontext()


@contextlib.contextmanager
def idle_after_a_request(connections: Opened) -> Iterator[None]:
    """Ask for one thing on each connection, then say nothing."""
    for connection in connections:
        connection.setblocking(True)
        connection.settimeout(PROMPT_SECONDS)
        connection.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1_000).startswith(b"HTTP/1.1 200 ")
    yield


@contextlib.contextmanager
def slow_after_a_request(connections: Opened) -> Iterator[None]:
    """Ask for one thing on each connection, then send the next head slowly."""
    with idle_after_a_request(connections), slow_heads(connections):
        yield


def seconds_until_answered(server: ServerProcess) -> float:
    """How long a new connection waits for the answer to its first request."""
    started = time.monotonic()
    asked = http.client.HTTPConnection("127.0.0.1", server.port, timeout=2 * LONGEST_SECONDS)
    with contextlib.closing(asked):
        asked.request("GET", "/ready")
        assert asked.getresponse().status == 200
    return time.monotonic() - started


def is_closed(connection: socket.socket) -> bool:
    """Whether the server has closed a connection on which it had nothing to answer."""
    connection.settimeout(LONGEST_SECONDS)
    try:
        return connection.recv(1_000) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("behave", [nothing, slow_heads, idle_after_a_request, slow_after_a_request])
def test_beside_1300_connections_a_new_request_is_answered_at_once(
    servers: dict[str, ServerProcess], kind: str, behave: Callable[[Opened], contextlib.AbstractContextManager[None]]
) -> None:
    with opened(servers[kind], CONNECTIONS) as connections, behave(connections):
        for _ in range(3):
            assert seconds_until_answered(servers[kind]) < PROMPT_SECONDS


def test_beside_more_connections_than_a_server_takes_a_new_request_is_answered_when_heads_are_overdue(
    servers: dict[str, ServerProcess],
) -> None:
    assert HEAD_SECONDS < LONGEST_SECONDS
    with contextlib.ExitStack() as stack:
        opened_first = []
        for server in servers.values():
            connections = stack.enter_context(opened(server, CONNECTIONS_MAX + 500))
            stack.enter_context(slow_heads(connections[::2]))
            opened_first += connections[:20]
        waited = {kind: seconds_until_answered(server) for kind, server in servers.items()}
        assert max(waited.values()) < LONGEST_SECONDS, waited
        assert all(map(is_closed, opened_first))


@pytest.mark.parametrize("kind", KINDS)
def test_connections_leave_descriptors_for_the_files_of_a_server(tmp_path: Path, kind: str) -> None:
    server = ServerProcess(tmp_path, SERVER=kind)
    try:
        server.start("prlimit", "--nofile=256:256")
        with contextlib.closing(server.client()) as client:
            assert client.request("GET", "/ready")[0] == 200
            with opened(server, 400):
                for number in range(20):
                    made = client.query(f'mutation {{ createProductSync(title: "{number}", price: 1) {{ success }} }}')
                    assert made["createProductSync"]["success"]
                assert client.request("GET", "/ready")[0] == 200
    finally:
        server.kill()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_connections_that_do_not_finish_their_tls_hold_no_thread_of_gunicorn(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -out {certificate} -keyout {key}"
    subprocess.run(made.split(), check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    server = ServerProcess(
        tmp_path / "data", SERVER="gunicorn", GUNICORN_CMD_ARGS=f"--certfile {certificate} --keyfile {key}"
    )

    def answered() -> bool:
        asked = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=PROMPT_SECONDS, context=context)
        with contextlib.closing(asked), contextlib.suppress(OSError):
            for _ in range(2):  # the second one on the same connection
                asked.request("POST", "/graphql", b'{"query":"{__typename}"}' + b" " * 100_000, JSON)
                answer = asked.getresponse()
                assert (answer.status, answer.read()) == (200, b'{"data":{"__typename":"Query"}}')
            return True
        return False

    try:
        server.launch()
        wait_until(answered)
        with opened(server, 200) as connections:
            for connection in connections[:100]:
                connection.setblocking(True)
                connection.sendall(b"\x16\x03\x01")  # the first bytes of a handshake
            assert answered()
    finally:
        server.kill()
