"""HTTP/2 without TLS: the servers speak HTTP/1.1 only, and no stream of such a client holds a thread."""

import contextlib
import socket
import time
from collections.abc import Callable

import pytest
from access_site import KEYS, SECRETS
from h2.config import H2Configuration
from h2.connection import H2Connection
from server_process import ServerProcess

from afterwrite.access.roles import Role

pytestmark = pytest.mark.one_database("what a connection speaks, before any database")

SERVERS = pytest.mark.parametrize("kind", ["granian", "gunicorn"])
STREAMS = 40  # more than there are threads
PROMPT_SECONDS = 10


@SERVERS
@pytest.mark.parametrize("keys", ["", KEYS], ids=["open", "with keys"])
def test_streams_of_http2_that_end_before_their_bodies_leave_the_server_answering(
    make_server: Callable[..., ServerProcess], kind: str, keys: str
) -> None:
    server = make_server(SERVER=kind, API_KEYS=keys).start()
    bearer = {"Authorization": f"Bearer {SECRETS[Role.WRITE]}"} if keys else {}
    for path in ("/webhook", "/sign-in", "/graphql"):
        leave_streams_unfinished(server, path, bearer)
        started = time.monotonic()
        assert server.ready()
        with contextlib.closing(server.client()) as client:
            body, headers = b'{"query": "{ __typename }"}', {"Content-Type": "application/json", **bearer}
            assert client.request("POST", "/graphql", body, headers)[0] == 200
        assert time.monotonic() - started < PROMPT_SECONDS


@SERVERS
def test_an_upgrade_to_http2_is_not_accepted(make_server: Callable[..., ServerProcess], kind: str) -> None:
    server = make_server(SERVER=kind).start()
    settings = H2Connection().initiate_upgrade_connection()
    assert settings is not None
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": settings.decode()}
    with contextlib.closing(server.client()) as client:
        assert client.request("GET", "/ready", headers=offer)[0] == 200  # and not 101
        assert client.request("GET", "/ready")[0] == 200


def leave_streams_unfinished(server: ServerProcess, path: str, headers: dict[str, str]) -> None:
    """Begin to send forty bodies over one connection of HTTP/2, then close it."""
    protocol = H2Connection(H2Configuration(client_side=True))
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        protocol.initiate_connection()
        for _ in range(STREAMS):
            stream = protocol.get_next_available_stream_id()
            head = {":method": "POST", ":scheme": "http", ":authority": "localhost", ":path": path}
            fields = {"content-type": "application/json", "content-length": "5000"} | headers
            protocol.send_headers(stream, [*head.items(), *((n.lower(), v) for n, v in fields.items())])
            protocol.send_data(stream, b"x")
        with contextlib.suppress(ConnectionError):  # it is refused
            connection.sendall(protocol.data_to_send())
            connection.recv(65_536)  # whatever it answers: it has read what was sent
