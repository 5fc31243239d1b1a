"""Long URLs: what clients send works under both servers, and what is too long is refused with a word."""

import contextlib
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from server_process import Client, ServerProcess

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
