"""A minimal HTTP/1.1 server, so that the remote end of a measurement costs little."""

import asyncio
import re
from collections.abc import Callable

# Maps method, path and body of a request to the status and the body of the answer.
Answer = Callable[[str, str, bytes], tuple[int, bytes]]

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_WAITING_CONNECTIONS = 1_024


class HttpAnswers(asyncio.Protocol):
    """One connection, kept alive unless the client says otherwise; bodies have a Content-Length."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        self._received += data
        while (end := self._received.find(_END)) >= 0:
            head, begin = self._received[:end], end + len(_END)
            length = _LENGTH.search(head)
            whole = begin + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            body, self._received = self._received[begin:whole], self._received[whole:]
            self._write(head, body)

    def _write(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None
        method, path, _ = head.split(b" ", 2)
        status, said = self._answer(method.decode(), path.decode(), body)
        closes = _CLOSES.search(head) is not None
        lines = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {len(said)}\r\n"
        if closes:
            lines += "Connection: close\r\n"
        self._transport.write(lines.encode() + b"\r\n" + said)
        if closes:
            self._transport.close()


async def listen(port: int, answer: Answer) -> asyncio.Server:
    """Listen on a port of 127.0.0.1; 0 picks a free one."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: HttpAnswers(answer), "127.0.0.1", port, backlog=_WAITING_CONNECTIONS)


def serve(port: int, answer: Answer) -> None:
    """Serve until the process ends."""

    async def work() -> None:
        async with await listen(port, answer) as server:
            await server.serve_forever()

    asyncio.run(work())
