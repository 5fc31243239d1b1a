"""Clients of event streams, thousands in one process.

`python -m bench.stream_clients PORT COUNT KIND QUERY [QUERY COUNT]`: each stream of KIND `ws` or `sse` sends QUERY; the
last COUNT of them send the second QUERY. Prints the seconds until all were open, then, when those of the second query
were told something, the times and the text of what the first was told.
"""

import json
import os
import resource
import select
import socket
import struct
import sys
import time

SUBSCRIBED = b'{"id":"ready","type":"complete"}'
HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)


def main(port: int, count: int, kind: str, query: str, other: str = "", others: str = "0") -> None:
    """Open the streams, report, and wait until the others were told."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 1_000), hard))
    queries = [query] * (count - int(others)) + [other] * int(others)
    begin = time.perf_counter()
    clients = (_websockets if kind == "ws" else _event_streams)(port, queries)
    print(json.dumps({"open_seconds": time.perf_counter() - begin}), flush=True)
    if int(others):
        _wait_until_told(clients[-int(others) :])
    sys.stdin.read()  # until the parent has measured


def _wait_until_told(clients: list[socket.socket]) -> None:
    poll, waiting = select.epoll(), {client.fileno(): client for client in clients}
    for descriptor in waiting:
        poll.register(descriptor, select.EPOLLIN)
    times: list[float] = []
    text = ""
    while waiting:
        for descriptor, _ in poll.poll(60):
            found = waiting[descriptor].recv(4096)
            if b"writeSettled" in found:
                times.append(time.time())
                text = text or found.decode(errors="replace")
                poll.unregister(descriptor)
                del waiting[descriptor]
    print(json.dumps({"times": times, "text": text}), flush=True)


def _event_streams(port: int, queries: list[str]) -> list[socket.socket]:
    clients = []
    for query in queries:
        body = json.dumps({"query": query}).encode()
        head = (
            b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Accept: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        client = socket.create_connection(("127.0.0.1", port), 60)
        client.sendall(head + body)
        clients.append(client)
    for client in clients:
        _read_until(client, b":\n\n")
    return clients


def _websockets(port: int, queries: list[str]) -> list[socket.socket]:
    clients = []
    for _ in queries:
        client = socket.create_connection(("127.0.0.1", port), 60)
        client.sendall(HANDSHAKE)
        clients.append(client)
    for client in clients:
        _read_until(client, b"\r\n\r\n")
        client.sendall(_masked(b'{"type":"connection_init"}'))
    for client, query in zip(clients, queries, strict=True):
        _read_until(client, b"connection_ack")
        payload = {"id": "1", "type": "subscribe", "payload": {"query": query}}
        client.sendall(_masked(json.dumps(payload).encode()))
        # Answered after the subscription, in order or not: both are under way by then.
        ready = {"id": "ready", "type": "subscribe", "payload": {"query": "{ __typename }"}}
        client.sendall(_masked(json.dumps(ready).encode()))
    for client in clients:
        _read_until(client, SUBSCRIBED)
    return clients


def _masked(text: bytes) -> bytes:
    mask = os.urandom(4)
    length = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + struct.pack("!H", len(text))
    return b"\x81" + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))


def _read_until(client: socket.socket, end: bytes) -> None:
    found = b""
    while end not in found:
        piece = client.recv(4096)
        if not piece:
            raise ConnectionResetError(f"a stream was refused: {found[:500]!r}")
        found += piece


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
