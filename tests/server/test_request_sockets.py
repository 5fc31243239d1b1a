"""The socket of a request is found by the address of its client, and no other one."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from afterwrite.server.request_sockets import RequestSockets

pytestmark = pytest.mark.skipif(not RequestSockets.is_supported, reason="lists its descriptors in /proc or /dev")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes every socket of a test."""
    with ExitStack() as opened:
        yield opened


def _connected(stack: ExitStack, family: socket.AddressFamily) -> tuple[socket.socket, socket.socket]:
    """A client's socket and the one that accepted it."""
    listener = stack.enter_context(
        socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
    )
    client = stack.enter_context(socket.create_connection(listener.getsockname()[:2]))
    return client, stack.enter_context(listener.accept()[0])


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_duplicate_goes_on_when_the_server_closes_its_own(stack: ExitStack, family: socket.AddressFamily) -> None:
    pairs = [_connected(stack, family) for _ in range(20)]
    sockets = RequestSockets()
    for client, accepted in pairs:
        host, port = client.getsockname()[:2]
        found = sockets.duplicate((host, port), accepted.getsockname()[1])
        assert found is not None
        with found:
            accepted.close()
            found.sendall(b"for you")
            assert client.recv(100) == b"for you"


def test_a_descriptor_that_was_reused_is_not_taken_for_the_one_before(stack: ExitStack) -> None:
    sockets = RequestSockets()
    first, accepted = _connected(stack, socket.AF_INET)
    others = [_connected(stack, socket.AF_INET) for _ in range(3)]
    address, port = first.getsockname(), accepted.getsockname()[1]
    found = sockets.duplicate(others[0][0].getsockname(), others[0][1].getsockname()[1])  # lists all of them
    assert found is not None
    found.close()
    accepted.close()
    first.close()
    again = [_connected(stack, socket.AF_INET) for _ in range(3)]
    assert sockets.duplicate(address, port) is None
    assert again


def test_another_port_of_ours_is_another_connection(stack: ExitStack) -> None:
    client, accepted = _connected(stack, socket.AF_INET)
    assert RequestSockets().duplicate(client.getsockname(), accepted.getsockname()[1] + 1) is None
