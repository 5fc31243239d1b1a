"""Long URLs: what clients send works under both servers, and what is too long is refused with a word."""

import contextlib
import http.client
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from server_process import Client, ServerProcess, wait_until

pytestmark = pytest.mark.one_database("what a server takes of a URL, before any database")

LONGEST_BYTES = 8_000  # what RFC 9110 asks every server to take


@pytest.fixture(params=["granian", "gunicorn"])
def client(make_server: Callable[..., ServerProcess], request: pytest.FixtureRequest) -> Iterator[Client]:
    with contextlib.closing(make_server(SERVER=request.param).start().client()) as made:
        yield made


@pytest.mark.parametrize("path", ["/products?after=", "/writes?after=", "/entries?after=", "/api/entries?cursor="])
def test_a_url_of_8000_bytes_reaches_its_page(client: Client, path: str) -> None:
    status, _answer = client.request("GET", path + "x" * (LONGEST_BYTES - len(path)))
    assert status in (200, 400, 422)  # what the page says of the value, and no refusal of the server's


def test_a_query_in_a_url_of_8000_bytes_is_run(client: Client) -> None:
    start = "/graphql?query=" + quote("{ __typename } #")
    status, answer = client.request("GET", start + "x" * (LONGEST_BYTES - len(start)))
    assert (status, answer) == (200, b'{"data":{"__typename":"Query"}}')


def test_a_url_that_is_too_long_is_refused_with_its_status(client: Client) -> None:
    for length in (66_000, 200_000):
        client.connection.putrequest("GET", "/ready?" + "x" * length)
        client.connection.endheaders()
        answer = client.connection.getresponse()
        answer.read()
        assert answer.status in (414, 431)
        client.close()
    assert client.request("GET", "/ready")[0] == 200


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says what the server has read")
def test_a_url_that_is_too_long_is_refused_when_it_comes_in_pieces(client: Client) -> None:
    client.connection.connect()
    connection = client.connection.sock
    connection.sendall(b"GET /ready?" + b"x" * 40_000)
    ports = connection.getpeername()[1], connection.getsockname()[1]
    wait_until(lambda: _unread_bytes(*ports) == 0)
    connection.sendall(b"x" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    assert answer.status in (414, 431)


def _unread_bytes(server_port: int, client_port: int) -> int:
    """The bytes that wait in the server's socket of a connection."""
    ends = f":{server_port:04X}", f":{client_port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    queues = {line[4] for line in lines if (line[1][-5:], line[2][-5:]) == ends}  # a line is twice there at times
    return max((int(queue.partition(":")[2], 16) for queue in queues), default=1)
