"""Clients that do not take their answers, over real sockets: they hold few threads, and hold up no stop."""

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from raw_http import connect, ends, read_answer, request
from server_process import ROOT, ServerProcess

if TYPE_CHECKING:
    from databases import Database

pytestmark = pytest.mark.one_database("how an answer is sent, before any database")

DEADLINE = 3
CLIENTS = 40  # more than there are threads
PROMPT_SECONDS = 10
FILE = ROOT / "afterwrite" / "static" / "graphiql" / "graphiql.min.js"
PATH = "/static/graphiql/graphiql.min.js"
ASK = request("GET", PATH)
JSON = {"Content_Type": "application/json"}


@pytest.fixture(params=["granian", "gunicorn"])
def server(request: pytest.FixtureRequest, database: "Database") -> Iterator[ServerProcess]:
    """A server that callers without a key may use."""
    options = {"ALLOW_ANONYMOUS": "write", "BODY_SECONDS": str(DEADLINE)}
    made = ServerProcess.on(database, SERVER=request.param, **options)
    try:
        yield made.start()
    finally:
        made.kill()


def silent(server: ServerProcess) -> socket.socket:
    """A connection that takes next to nothing into its own buffer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", server.port))
    return connection


def answered_in(server: ServerProcess) -> float:
    """How long another client waits for its answer."""
    started = time.monotonic()
    with contextlib.closing(server.client()) as client:
        assert client.request("GET", "/ready")[0] == 200
    return time.monotonic() - started


def test_clients_that_read_nothing_leave_threads_for_others(server: ServerProcess) -> None:
    with contextlib.ExitStack() as stack:
        started = time.monotonic()
        for _ in range(CLIENTS):
            stack.enter_context(silent(server)).sendall(ASK * 6)  # the first few fill the buffers
        while time.monotonic() - started < DEADLINE + 2:
            assert answered_in(server) < PROMPT_SECONDS
        with contextlib.closing(server.client()) as client:
            assert client.request("GET", PATH) == (200, FILE.read_bytes())
    assert "Traceback" not in server.log


def test_a_client_that_reads_slowly_but_steadily_gets_the_whole_answer(server: ServerProcess) -> None:
    """It stands beside others that read nothing, at its address and of the same file."""
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(silent(server)).sendall(ASK * 6)
        steady = stack.enter_context(silent(server))
        steady.sendall(request("GET", PATH, Connection="close"))
        taken = b""
        while part := steady.recv(64_000):
            taken += part
            answered_in(server)  # it goes on at the pace of the server's other answers
        assert taken.endswith(FILE.read_bytes())


def test_a_slow_body_behind_an_answer_that_is_not_read_holds_no_thread(server: ServerProcess) -> None:
    asked = ASK + request("POST", "/webhook", Content_Length="1000", **JSON) + b"{"
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(silent(server)) for _ in range(CLIENTS)]
        for connection in slow:
            connection.sendall(asked)
        started = time.monotonic()
        while time.monotonic() - started < DEADLINE + 2:
            assert answered_in(server) < PROMPT_SECONDS
        for connection in slow:
            assert taken_to_the_end(connection)


def taken_to_the_end(connection: socket.socket) -> bool:
    """Read until the server closes the connection, which it must do by itself."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(1 << 20):
            pass
    return True


def test_a_stop_waits_for_no_slow_client(server: ServerProcess) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(silent(server)).sendall(ASK * 6)
        body = stack.enter_context(connect(server.port))
        body.sendall(request("POST", "/graphql", Content_Length="1000", **JSON) + b"{")
        assert answered_in(server) < PROMPT_SECONDS
        made = 'mutation { createProduct(title: "kept", price: 1) { success } }'
        assert server.query(made)["createProduct"]["success"]
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 20
    server.start()
    assert server.query("{ allProducts(first: 9) { title } }") == {"allProducts": [{"title": "kept"}]}


def test_slow_bodies_shut_nobody_out_at_another_address(server: ServerProcess) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(connect(server.port)).sendall(
                request("POST", "/webhook", Content_Length="1000", **JSON) + b"{"
            )
        started = time.monotonic()
        while time.monotonic() - started < DEADLINE:
            other = socket.create_connection(("127.0.0.1", server.port), 30, ("127.0.0.2", 0))
            with other:
                other.sendall(request("POST", "/webhook", b"{}", **JSON))
                answer = read_answer(other)
                assert answer is not None and answer.status == 401  # it is not signed, but it was read


def test_a_body_in_wrong_chunks_is_refused_and_forgotten(server: ServerProcess) -> None:
    asked = request("POST", "/webhook", None, Transfer_Encoding="chunked", **JSON) + b"zz\r\n"
    for _ in range(20):
        with connect(server.port) as connection:
            connection.sendall(asked)
            answer = read_answer(connection)
            assert answer is not None and answer.status in (400, 401) and ends(connection)
    assert "Traceback" not in server.log
