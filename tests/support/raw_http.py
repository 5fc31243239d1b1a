"""HTTP as bytes on a socket, for what no HTTP client would send."""

import socket
from typing import NamedTuple


class Answer(NamedTuple):
    """The status, the headers (names in lower case) and the body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether it says that the connection ends with it."""
        return self.headers.get("connection", "").lower() == "close"


def connect(port: int, timeout: float = 30) -> socket.socket:
    """A connection to a server of this machine."""
    return socket.create_connection(("127.0.0.1", port), timeout)


def request(method: str, path: str, body: bytes | None = None, /, **headers: str) -> bytes:
    """The bytes of a request; a Content_Length that is given stands for that of the body."""
    given = {"Host": "localhost", **({} if body is None else {"Content_Length": str(len(body))}), **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def read_answer(connection: socket.socket) -> Answer | None:
    """The next answer on the connection, which has a Content-Length; None if the connection ends before it."""
    with connection.makefile("rb", buffering=0) as file:  # nothing of a second answer is read
        try:
            first = _line(file)
            if not first:
                return None
            headers: dict[str, str] = {}
            while line := _line(file):
                name, _, value = line.partition(": ")
                headers[name.lower()] = value
            left = int(headers.get("content-length", "0"))
            body = b""
            while left > len(body) and (part := file.read(left - len(body))):
                body += part
        except ConnectionError:
            return None
    return Answer(int(first.split()[1]), headers, body)


def ends(connection: socket.socket) -> bool:
    """Wait until the server closes the connection, which must not send anything more."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def _line(file: "socket.SocketIO") -> str:
    line = b""
    while not line.endswith(b"\n") and (letter := file.read(1)):
        line += letter
    return line.decode("latin-1").rstrip("\r\n")
