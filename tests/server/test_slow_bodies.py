"""Bodies that come slowly or never, over real sockets: they hold few threads, for a limited time."""

import contextlib
import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from access_site import KEYS, bearer
from raw_http import Answer, connect, ends, read_answer, request
from server_process import ServerProcess

from afterwrite.access.roles import Role
from afterwrite.server.bodies import PIECE_BYTES

if TYPE_CHECKING:
    from databases import Database

pytestmark = pytest.mark.one_database("how a body is read, before any database")

DEADLINE = 2
SLOW = 100  # three times as many as there are threads
JSON = {"Content_Type": "application/json"}
QUERY = b'{"query": "{ __typename }"}'


@pytest.fixture(scope="module", params=["granian", "gunicorn"])
def server(request: pytest.FixtureRequest, module_database: "Database") -> Iterator[ServerProcess]:
    """A server with keys, on which callers without one may read."""
    with running(module_database, SERVER=request.param) as made:
        yield made


@contextlib.contextmanager
def running(database: "Database", **more: str) -> Iterator[ServerProcess]:
    """A server that gives each piece of a body two seconds."""
    options = {"API_KEYS": KEYS, "ALLOW_ANONYMOUS": "read", "BODY_SECONDS": str(DEADLINE)}
    made = ServerProcess.on(database, **options | more)
    try:
        yield made.start()
    finally:
        made.kill()


def query(server: ServerProcess) -> float:
    """How long a query of another client takes, which must be answered."""
    started = time.monotonic()
    with contextlib.closing(server.client()) as client:
        headers = {"Content-Type": "application/json", **bearer(Role.WRITE)}
        assert client.request("POST", "/graphql", QUERY, headers)[0] == 200
    return time.monotonic() - started


class Trickle:
    """Sends a byte a second on each connection, until it is stopped or the connection ends."""

    def __init__(self, connections: list[socket.socket]) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, args=(list(connections),))
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _send(self, connections: list[socket.socket]) -> None:
        while not self._over.wait(1):
            for connection in list(connections):
                try:
                    connection.send(b" ")
                except OSError:
                    connections.remove(connection)


@pytest.mark.parametrize("pace", ["silent", "a byte a second"])
@pytest.mark.parametrize("role", [Role.NOBODY, Role.READ])
def test_a_hundred_slow_bodies_leave_threads_for_others_and_end_at_the_deadline(
    server: ServerProcess, role: Role, pace: str
) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(server.port)) for _ in range(SLOW)]
        for connection in slow:
            connection.sendall(request("POST", "/graphql", Content_Length="1000", **JSON, **bearer(role)) + b"{")
        started = time.monotonic()
        if pace != "silent":
            stack.callback(Trickle(slow).stop)
        waited = [query(server) for _ in range(10)]
        while time.monotonic() < started + DEADLINE + 1.5:
            waited.append(query(server))
        assert max(waited) < 5
        answers = [read_answer(connection) for connection in slow]
        statuses = Counter(answer.status for answer in answers if answer is not None)
        assert sum(statuses.values()) == SLOW
        assert set(statuses) == {408, 503}
        assert all(answer.closes for answer in answers if answer is not None)
        # A connection ends when its thread has come back from it: until then the server would read on.
        assert all(ends(connection) for connection in slow)


@pytest.mark.parametrize(("role", "status"), [(Role.NOBODY, 401), (Role.READ, 403)])
def test_a_hundred_slow_bodies_of_refused_requests_hold_no_thread(
    server: ServerProcess, role: Role, status: int
) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(server.port)) for _ in range(SLOW)]
        for connection in slow:
            post = request("POST", "/api/entries", Content_Length="1000", **JSON, **bearer(role))
            connection.sendall(post + b"{")
        assert max(query(server) for _ in range(10)) < 5
        answers = [read_answer(connection) for connection in slow]
        assert Counter(answer.status for answer in answers if answer is not None) == {status: SLOW}
        assert all(answer.closes for answer in answers if answer is not None)
        for connection in slow:  # the clients go on as if they had not been answered
            with contextlib.suppress(OSError):
                connection.send(b" ")
        assert max(query(server) for _ in range(10)) < 5
        assert all(ends(connection) for connection in slow)


def test_each_place_says_in_its_own_form_that_a_body_came_too_slowly(server: ServerProcess) -> None:
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    asked = {"/graphql": JSON, "/api/entries": JSON, "/webhook": JSON, "/sign-in": form}
    with contextlib.ExitStack() as stack:
        sent = {}
        for path, headers in asked.items():
            # The port is in the name of the cookie, and so in the Host.
            browser = {"Cookie": server.cookie_of("/sign-in"), "Host": f"127.0.0.1:{server.port}"}
            given = headers | (browser if headers is form else bearer(Role.WRITE))
            sent[path] = stack.enter_context(connect(server.port))
            sent[path].sendall(request("POST", path, Content_Length="1000", **given))
        answers = {path: read_answer(connection) for path, connection in sent.items()}
    types = {path: answer.headers["content-type"] for path, answer in answers.items() if answer}
    assert types == {
        "/graphql": "application/json; charset=utf-8",
        "/api/entries": "application/problem+json",
        "/webhook": "application/problem+json",
        "/sign-in": "text/html; charset=utf-8",
    }
    for answer in answers.values():
        assert answer is not None and answer.status == 408
        assert b"BODY_SECONDS" in answer.body
        assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("role", [Role.NOBODY, Role.READ])
def test_a_refused_request_is_answered_before_its_body_comes(server: ServerProcess, role: Role) -> None:
    with connect(server.port) as connection:
        connection.sendall(request("POST", "/api/entries", Content_Length="1000", **JSON, **bearer(role)))
        answer = read_answer(connection)
    assert answer is not None and answer.closes
    assert answer.status == (403 if role is Role.READ else 401)


def steady_upload(server: ServerProcess, answers: list[Answer | None]) -> None:
    """Send twelve pieces, a quarter of a second apart: longer than the deadline, which each of them keeps."""
    body = QUERY + b" " * (12 * PIECE_BYTES - len(QUERY))
    with connect(server.port) as connection:
        connection.sendall(request("POST", "/graphql", Content_Length=str(len(body)), **JSON, **bearer(Role.WRITE)))
        pace = threading.Event()
        for start in range(0, len(body), PIECE_BYTES):
            connection.sendall(body[start : start + PIECE_BYTES])
            pace.wait(0.25)
        answers.append(read_answer(connection))


def test_only_the_connection_of_the_slow_body_ends(server: ServerProcess) -> None:
    """All of them come from one address, as they do from a proxy."""
    answers: list[Answer | None] = []
    upload = threading.Thread(target=steady_upload, args=(server, answers))
    upload.start()
    with (
        connect(server.port) as idle,
        connect(server.port) as slow,
        connect(server.port) as piped,
        stream(server) as events,
    ):
        idle.sendall(request("GET", "/ready"))
        assert getattr(read_answer(idle), "status", None) == 200
        post = request("POST", "/graphql", Content_Length="1000", **JSON)
        slow.sendall(post)
        piped.sendall(request("GET", "/ready") + post)  # the body is the one of the second request
        for connection, expected in ((piped, [200, 408]), (slow, [408])):
            for status in expected:
                assert getattr(read_answer(connection), "status", None) == status
            assert ends(connection)
        upload.join()
        assert answers[0] is not None and answers[0].status == 200
        idle.sendall(request("GET", "/ready"))
        assert getattr(read_answer(idle), "status", None) == 200
        assert events.readline() == b":\n"  # it goes on


def test_no_event_stream_ends_with_the_bodies_of_others_at_its_address(server: ServerProcess) -> None:
    """Streams send heartbeats, some of them in the moment in which a body is ended."""
    with contextlib.ExitStack() as stack:
        events = [stack.enter_context(stream(server)) for _ in range(3)]
        for _ in range(3):  # a round takes two seconds, and a heartbeat comes every five
            slow = [stack.enter_context(connect(server.port)) for _ in range(20)]
            for connection in slow:
                connection.sendall(request("POST", "/graphql", Content_Length="1000", **JSON))
            answers = [read_answer(connection) for connection in slow]
            assert {answer.status for answer in answers if answer is not None} <= {408, 503}
            assert all(ends(connection) for connection in slow)
        for open_one in events:
            assert [open_one.readline() for _ in range(2)] == [b":\n", b"\n"]


@pytest.mark.parametrize("kind", ["granian", "gunicorn"])
def test_a_slow_body_ends_over_ipv6_and_whatever_port_a_proxy_names(database: "Database", kind: str) -> None:
    with running(database, SERVER=kind, HOST="::", PROXIES="1") as server:
        named = ("shop.example", "shop.example:8443", "shop.example:http")
        with contextlib.ExitStack() as stack:
            slow = []
            for address, forwarded in itertools.product(("::1", "127.0.0.1"), named):
                slow.append(stack.enter_context(socket.create_connection((address, server.port), 30)))
                headers = {"X_Forwarded_Host": forwarded, **JSON, **bearer(Role.READ)}
                slow[-1].sendall(request("POST", "/graphql", Content_Length="1000", **headers) + b"{")
            statuses = {getattr(read_answer(connection), "status", None) for connection in slow}
            assert {408} <= statuses <= {400, 408, 503}
            assert all(ends(connection) for connection in slow)
        assert "Traceback" not in server.log


@contextlib.contextmanager
def stream(server: ServerProcess) -> Iterator[HTTPResponse]:
    """An open event stream, of which the first bytes have come."""
    path = f"/graphql?query={quote('subscription { tasksUpdated { status } }')}"
    with contextlib.closing(server.client()) as client:
        client.connection.request("GET", path, headers={"Accept": "text/event-stream"})
        with contextlib.closing(client.connection.getresponse()) as answer:
            assert (answer.status, answer.readline(), answer.readline()) == (200, b":\n", b"\n")
            yield answer


def test_nothing_of_all_this_went_wrong(server: ServerProcess) -> None:
    assert "Traceback" not in server.log
