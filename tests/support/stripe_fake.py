"""Stands in for Stripe in the tests: a real localstripe, a front that keeps Stripe's promises, a server that fails.

localstripe 1.15.10 does not know idempotency keys, the description of a payment, or how much of a charge is left to
refund. ``IdempotentFront`` adds the first as Stripe documents it and leaves the second out of what it passes on;
how many charges there are is asked of localstripe itself.
"""

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from server_process import free_port, wait_until

KEY = "sk_test_tests0only0recognisable0key"  # localstripe takes every key that starts with sk_
_STOP_SECONDS = 10
_UNKNOWN_TO_LOCALSTRIPE = {"description"}
# Its own start listens on every interface, and keeps its state in one file of the machine, which may be somebody's.
_START = """
import sys
from aiohttp import web
from localstripe import resources, server
resources.Store.dump_to_disk = lambda store: None
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


class Request(NamedTuple):
    """A request as it came in; ``form`` is the decoded body."""

    method: str
    path: str
    headers: Message
    form: dict[str, str]

    @property
    def key(self) -> str | None:
        """Its idempotency key."""
        return self.headers.get("Idempotency-Key")


class Answer(NamedTuple):
    """An answer: a body that is not text is sent as JSON."""

    status: int
    body: Any
    headers: Mapping[str, str] = {}


class LocalStripe:
    """localstripe in a process of its own on a free port of 127.0.0.1, empty at its start."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "LocalStripe":
        """Return when it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers)
        return self

    def stop(self) -> None:
        """End the process; may be called twice."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def call(self, method: str, path: str, form: Mapping[str, str] | None = None) -> Answer:
        """The answer to a request that is made with a key it takes."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/x-www-form-urlencoded"}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, urlencode(form or {}), headers)
            answer = connection.getresponse()
            return Answer(answer.status, json.loads(answer.read()))

    def listed(self, what: str, **wanted: str) -> list[Any]:
        """All ``charges``, ``customers``, ``refunds`` or ``payment_intents``, by the filters that it has."""
        status, body, _headers = self.call("GET", f"/v1/{what}?{urlencode({'limit': '1000'} | wanted)}")
        assert status == 200, body
        assert not body["has_more"]
        return list(body["data"])

    def customer(self) -> str:
        """The id of a new customer."""
        return str(self.call("POST", "/v1/customers", {"email": "a@example.com", "name": "A"}).body["id"])

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"localstripe ended with {self._process.returncode}: is it installed?"
        with contextlib.suppress(OSError):
            return self.call("GET", "/v1/customers").status == 200
        return False


class _Server:
    """A real HTTP server in threads; who inherits says what it answers."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self._server = _Listener(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def answer(self, request: Request) -> Answer:
        """What is answered; called in a thread of its own."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class CannedServer(_Server):
    """Gives the same answers whatever is asked: one after the other, and the last one from then on."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        super().__init__()

    def answer(self, request: Request) -> Answer:
        """The next answer."""
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class IdempotentFront(_Server):
    """Passes requests on to localstripe, and honours idempotency keys as Stripe does (for the tests only).

    The first answer to a key is kept once the request was carried out, failures too, and given again to the same
    request; another request with the key is refused with 400, one that comes during the first with 409
    (https://docs.stripe.com/api/idempotent_requests).
    """

    def __init__(self, behind: LocalStripe) -> None:
        self._behind = behind
        self._lock = threading.Lock()
        self._running: set[str] = set()
        self._kept: dict[str, tuple[Request, Answer]] = {}
        self.carried_out = threading.Event()  # a request has had its effect
        self.may_answer = threading.Event()  # answers wait for it
        self.may_answer.set()
        super().__init__()

    def answer(self, request: Request) -> Answer:
        """What localstripe answers now, or has answered to this key before."""
        if request.key is None:
            return self._pass_on(request)
        known = self._begin(request, request.key)
        if known is not None:
            return known
        try:
            answer = self._pass_on(request)
            if answer.status not in (401, 429):  # Stripe sees to these before it looks at the key
                self._kept[request.key] = (request, answer)
        finally:
            self.carried_out.set()
            self.may_answer.wait(30)
            self._running.discard(request.key)
        return answer

    @property
    def busy(self) -> bool:
        """Whether a request has not been answered yet."""
        return bool(self._running)

    def _begin(self, request: Request, key: str) -> Answer | None:
        with self._lock:
            if key in self._running:
                return _error(409, "There is another request with this key", code="idempotency_key_in_use")
            if key in self._kept:
                first, answer = self._kept[key]
                if (first.path, first.form) == (request.path, request.form):
                    return answer._replace(headers={"Idempotent-Replayed": "true"})
                message = "Keys for idempotent requests can only be used with the same parameters"
                return _error(400, message, type="idempotency_error")
            self._running.add(key)
            return None

    def _pass_on(self, request: Request) -> Answer:
        if not request.headers.get("Authorization", "").startswith("Bearer sk_"):
            return _error(401, "Unauthorized")
        form = {name: value for name, value in request.form.items() if name not in _UNKNOWN_TO_LOCALSTRIPE}
        return self._behind.call(request.method, request.path, form)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: _Server) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        self.owner.connections += 1
        return super().get_request()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def do_GET(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(), True))
        request = Request(self.command, self.path, self.headers, form)
        self.server.owner.requests.append(request)
        answer = self.server.owner.answer(request)
        body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        with contextlib.suppress(ConnectionError):  # who asked may have gone
            self.send_response(answer.status)
            for name, value in (dict(answer.headers) | {"Content-Length": str(len(body.encode()))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - http.server names it
        """Nothing: a test reads ``requests``."""


def _error(status: int, message: str, **more: str) -> Answer:
    return Answer(status, {"error": {"type": "invalid_request_error", "message": message} | more})


@contextlib.contextmanager
def canned(answers: Sequence[Answer]) -> Iterator[CannedServer]:
    """A server that gives these answers."""
    with contextlib.closing(CannedServer(*answers)) as server:
        yield server


@contextlib.contextmanager
def silent_url() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
