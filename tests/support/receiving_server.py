"""A real HTTP(S) server on a loopback address that keeps what is posted to it and answers as a test wants."""

import ssl
import subprocess
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

WAIT_SECONDS = 30.0
Lines = Mapping[str, str]


class Post(NamedTuple):
    """A request as it came; the names of the headers in small letters."""

    path: str
    headers: dict[str, str]
    body: bytes


# Writes the raw answer; the event is set when the server closes, for answers that wait.
Reply = Callable[[Post, BufferedIOBase, threading.Event], None]


def reply(status: int, body: bytes = b"", **headers: str) -> Reply:
    """An answer with a status; ``_`` in the name of a header stands for ``-``."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw("\r\n".join([*lines, "", ""]).encode() + body)


def raw(whole: bytes) -> Reply:
    """An answer byte for byte, after which the server hangs up."""

    def write(_post: Post, out: BufferedIOBase, _closing: threading.Event) -> None:
        out.write(whole)

    return write


def silence(_post: Post, _out: BufferedIOBase, closing: threading.Event) -> None:
    """Take the request and never answer."""
    closing.wait(WAIT_SECONDS)


def trickle(begin: bytes, drop: bytes = b"x", pause_seconds: float = 0.02) -> Reply:
    """An answer that begins and goes on for ever, a drop at a time."""

    def write(_post: Post, out: BufferedIOBase, closing: threading.Event) -> None:
        out.write(begin)
        while not closing.wait(pause_seconds):
            out.write(drop)

    return write


class LoopbackServer(ThreadingHTTPServer):
    """Listens from the begin of a ``with`` block to its end."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), handler)
        self.url = f"http://{host}:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class ReceivingServer(LoopbackServer):
    """Listens from the begin of a ``with`` block to its end; ``replies`` are used up one by one, the last one stays."""

    daemon_threads = False  # closing waits for them

    def __init__(self, *replies: Reply, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(_Handler, host)
        self.replies = list(replies or [reply(200)])
        self.posts: list[Post] = []
        self.connections = 0
        self.closing = threading.Event()
        self.arrived = threading.Semaphore(0)
        if tls is not None:  # the handshake is in the thread of the connection
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
            self.url = f"https://{host}:{self.server_port}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        super().__exit__(kind, error, trace)

    def next_reply(self) -> Reply:
        """What the next request is answered with."""
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def at(self, name: str, path: str = "/") -> str:
        """The URL with a name in the place of the address."""
        return f"{self.url.partition(':')[0]}://{name}:{self.server_port}{path}"

    def wait(self) -> None:
        """Wait for one more request."""
        assert self.arrived.acquire(timeout=WAIT_SECONDS), "nothing came"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count the connection."""
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The other side hung up, as some tests want it to."""


class _Handler(BaseHTTPRequestHandler):
    server: ReceivingServer

    def do_POST(self) -> None:
        """Keep the request and answer it."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        post = Post(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        answer = self.server.next_reply()
        self.server.posts.append(post)
        self.server.arrived.release()
        self.close_connection = True
        answer(post, self.wfile, self.server.closing)

    do_GET = do_POST  # noqa: N815 - the base class calls it

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


class Certificate(NamedTuple):
    """A certificate that signs itself, and its key."""

    certificate: Path
    key: Path

    def serving(self) -> ssl.SSLContext:
        """What a server needs to show it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def trusting(self) -> ssl.SSLContext:
        """What a client needs to trust it, and nothing else."""
        return ssl.create_default_context(cafile=str(self.certificate))


def make_certificate(folder: Path, name: str) -> Certificate:
    """A certificate for one name, made with openssl."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    named = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    files = ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(["openssl", "req", *kind, *named, *files], check=True, capture_output=True)
    return made
