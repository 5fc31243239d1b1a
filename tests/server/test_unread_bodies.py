"""A request whose body was not read loses no other: the next one is answered, or the answer said `close`."""

import contextlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from access_site import KEYS, bearer
from raw_http import connect, ends, read_answer, request
from server_process import ServerProcess

from afterwrite.access.roles import Role

if TYPE_CHECKING:
    from databases import Database

pytestmark = pytest.mark.one_database("what becomes of a connection, before any database")

JSON = {"Content_Type": "application/json"}
FORM = {"Content_Type": "application/x-www-form-urlencoded"}
READER = JSON | bearer(Role.READ)
BODY = b'{"title": "x"}'
MAX_BODY = 10_000
NEXT = request("GET", "/ready")
CASES = {
    "401, GraphQL": (401, request("POST", "/graphql", BODY, **JSON)),
    "401, REST": (401, request("POST", "/api/entries", BODY, **JSON)),
    "401, a page": (401, request("POST", "/products", BODY, **FORM)),
    "401, a GET with a body": (401, request("GET", "/api/entries", BODY, **JSON)),
    "401, a wrong key": (401, request("POST", "/api/entries", BODY, Authorization="Bearer aw_x", **JSON)),
    "403, REST": (403, request("POST", "/api/entries", BODY, **READER)),
    "403, a long body": (403, request("POST", "/api/entries", b" " * 300_000, **READER)),
    "403, a form without a token": (403, request("POST", "/sign-in", BODY, **FORM)),
    "404, REST": (404, request("POST", "/api/nothing", BODY, **READER)),
    "404, elsewhere": (404, request("POST", "/nothing", BODY, **READER)),
    "405, REST": (405, request("PUT", "/api/entries", BODY, **READER)),
    "405, GraphQL": (405, request("PUT", "/graphql", BODY, **READER)),
    "405, a page": (405, request("PUT", "/products", BODY, **READER)),
    "406, GraphQL": (406, request("POST", "/graphql", BODY, Accept="image/png", **READER)),
    "413, REST": (413, request("POST", "/webhook", b" " * (MAX_BODY + 1), **JSON)),
    "413, GraphQL": (413, request("POST", "/graphql", b" " * (MAX_BODY + 1), **READER)),
    "415, REST": (415, request("POST", "/api/entries", BODY, Content_Type="text/plain", **bearer(Role.WRITE))),
    "415, GraphQL": (415, request("POST", "/graphql", BODY, Content_Type="text/plain", **bearer(Role.READ))),
    "200, a body that nobody reads": (200, request("GET", "/ready", BODY)),
    "200, OPTIONS": (200, request("OPTIONS", "/api/entries", BODY, **READER)),
}


@pytest.fixture(scope="module", params=["granian", "gunicorn"])
def server(request: pytest.FixtureRequest, module_database: "Database") -> Iterator[ServerProcess]:
    """A server with keys and a low limit of bodies."""
    options = {"API_KEYS": KEYS, "MAX_BODY_BYTES": str(MAX_BODY)}
    made = ServerProcess.on(module_database, SERVER=request.param, **options)
    try:
        yield made.start()
    finally:
        made.kill()


def send(connection: socket.socket, data: bytes) -> None:
    """Send, unless the server has closed: what it answered is there."""
    with contextlib.suppress(ConnectionError):
        connection.sendall(data)


def check(connection: socket.socket, status: int, then: bytes = b"") -> None:
    answer = read_answer(connection)
    assert answer is not None and answer.status == status
    if answer.closes:
        assert ends(connection)
    else:
        send(connection, then)
        following = read_answer(connection)
        assert following is not None and (following.status, following.body) == (200, b'{"ready":true}')


@pytest.mark.parametrize("case", CASES)
def test_the_next_request_on_the_connection_is_not_lost(server: ServerProcess, case: str) -> None:
    status, asked = CASES[case]
    with connect(server.port) as connection:
        send(connection, asked)
        check(connection, status, then=NEXT)
    with connect(server.port) as connection:
        send(connection, asked + NEXT)  # pipelined
        check(connection, status)


def test_a_body_that_was_read_leaves_the_connection_open(server: ServerProcess) -> None:
    read = request("POST", "/graphql", b'{"query": "{ __typename }"}', **READER)
    chunked = request("POST", "/graphql", Transfer_Encoding="chunked", **READER)
    chunked += b'1b\r\n{"query": "{ __typename }"}\r\n0\r\n\r\n'
    malformed = request("POST", "/api/entries", b"{", **JSON, **bearer(Role.WRITE))
    with connect(server.port) as connection:
        for status, asked in ((200, read), (200, chunked), (400, malformed), (200, read)):
            connection.sendall(asked)
            answer = read_answer(connection)
            assert answer is not None and (answer.status, answer.closes) == (status, False)


def test_wrong_keys_that_are_slowed_down_lose_no_request(server: ServerProcess) -> None:
    asked = request("POST", "/api/entries", BODY, Authorization="Bearer aw_x", **JSON)
    statuses = set()
    for _ in range(12):  # the wait after the fifth is a second, then two: a slow machine meets one of them
        with connect(server.port) as connection:
            send(connection, asked)
            answer = read_answer(connection)
            assert answer is not None and answer.closes and ends(connection)
            statuses.add(answer.status)
    assert statuses == {401, 429}
