"""What is read of the bodies that strangers send, and what not; test_slow_bodies.py has those that come slowly."""

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from access_site import KEYS, SECRETS, Site, code_of, site_over
from flask import Request
from server_process import ServerProcess, wait_until

from afterwrite.access.caller import Sender, set_sender
from afterwrite.access.control import AccessControl
from afterwrite.access.roles import Caller, Role
from afterwrite.base.settings import Settings
from afterwrite.graphql_http.errors import HttpRefusal
from afterwrite.server.bodies import Body
from afterwrite.server.slow_bodies import SlowBodies

pytestmark = pytest.mark.one_database("what is read of a body, before any database")

SLOW = 40  # more than there are threads
FORM = "application/x-www-form-urlencoded"

FILE_HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_over(tmp_path / "data") as made:
        yield made


class Unread(BytesIO):
    """A body that must not be read."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise AssertionError("the body was read")


@contextlib.contextmanager
def slow_requests(server: ServerProcess, path: str, media_type: str, cookie: str) -> Iterator[None]:
    """Forty requests whose heads and first bytes have come, and whose ends never do."""
    with contextlib.ExitStack() as stack:
        for _ in range(SLOW):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
            client.sendall(
                f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: {media_type}\r\n"
                f"Cookie: {cookie}\r\nContent-Length: 1000\r\n\r\na".encode()
            )
        yield


@pytest.mark.parametrize("http_server", ["granian", "gunicorn"])
@pytest.mark.parametrize(
    ("path", "media_type"), [("/sign-in", FORM), ("/webhook", "application/json"), ("/graphql", "application/json")]
)
def test_slow_strangers_leave_threads_for_others(
    make_server: Callable[..., ServerProcess], http_server: str, path: str, media_type: str
) -> None:
    server = make_server(SERVER=http_server, API_KEYS=KEYS).start()
    with slow_requests(server, path, media_type, server.cookie_of("/sign-in")):
        for asked in ("/ready", "/api/entries"):
            started = time.monotonic()
            headers = {"Authorization": f"Bearer {SECRETS[Role.READ]}"}
            with contextlib.closing(server.client()) as client:
                assert client.request("GET", asked, headers=headers)[0] == 200
            assert time.monotonic() - started < 5


class Reading:
    """A thread that reads a body from a socket on which nothing comes, as gunicorn reads it."""

    def __init__(
        self,
        bodies: SlowBodies,
        sender: str | AccessControl | None,
        media_type: str = "application/json",
        address: str = "10.0.0.1",
    ) -> None:
        """``sender`` is the name of a key, or says who sends a request without one."""
        self.client, self.server = socket.socketpair()
        self.outcome: bytes | HttpRefusal | None = None
        self.environ: dict[str, Any] = {"CONTENT_LENGTH": "9", "CONTENT_TYPE": media_type}
        self.environ |= {"wsgi.input": self, "gunicorn.socket": self.server, "REMOTE_ADDR": address}
        if isinstance(sender, AccessControl):
            sender.admit(Request(self.environ))
        else:
            set_sender(Request(self.environ), Sender(Caller(sender, Role.READ)))
        self._body = Body(self.environ, bodies.read)
        self._begun = threading.Event()
        self.thread = threading.Thread(target=self._read)

    def read(self, size: int) -> bytes:
        self._begun.set()
        return self.server.recv(size)

    def start(self) -> "Reading":
        """Return when it waits, or was refused."""
        self.thread.start()
        assert self._begun.wait(30)
        return self

    def end(self) -> None:
        """Let the body come, where it is still waited for."""
        with contextlib.suppress(OSError):
            self.client.sendall(b"123456789")
        self.thread.join()
        self.client.close()
        self.server.close()

    def _read(self) -> None:
        try:
            self.outcome = self._body.read(9)
        except HttpRefusal as refused:
            self.outcome = refused
        self._begun.set()


def statuses(readings: list[Reading]) -> Counter[int]:
    """How many of them were refused, by status; under 200 those whose bodies came."""
    ended = [reading.outcome for reading in readings if reading.outcome is not None]
    return Counter(outcome.status if isinstance(outcome, HttpRefusal) else 200 for outcome in ended)


def test_slow_bodies_have_places_for_each_caller_and_for_all_of_them() -> None:
    bodies = SlowBodies(Settings())  # of 8 threads: 4 each, 2 for forms, 7 in all
    strangers = [Reading(bodies, None).start() for _ in range(6)]
    forms = [Reading(bodies, None, FORM).start() for _ in range(3)]
    of_ann = [Reading(bodies, "ann").start() for _ in range(6)]
    everybody = [*strangers, *forms, *of_ann]
    wait_until(lambda: statuses(everybody).total() >= len(everybody) - 7)
    assert (statuses(of_ann), statuses(strangers + forms)) == ({503: 2}, {503: 6})  # keys come first
    for reading in everybody:
        reading.end()
    assert statuses(everybody) == {503: 8, 200: 7}


@pytest.mark.parametrize("allow_anonymous", ["", "read", "write"])
def test_callers_without_a_key_share_their_places_whatever_they_may_do(tmp_path: Path, allow_anonymous: str) -> None:
    settings = Settings(data_dir=tmp_path, api_keys=KEYS, allow_anonymous=allow_anonymous)
    bodies, access = SlowBodies(settings), AccessControl(settings)
    strangers = [Reading(bodies, access, address=f"10.0.0.{number}").start() for number in range(6)]
    wait_until(lambda: statuses(strangers) == {503: 2})  # of 8 threads they have 4
    for reading in strangers:
        reading.end()
    assert statuses(strangers) == {503: 2, 200: 4}


def test_a_body_whose_reading_cannot_be_ended_leaves_half_of_the_threads_to_others() -> None:
    bodies = SlowBodies(Settings(threads=8, max_waiters=1, max_streams=1), can_be_ended=lambda _: False)
    of_ann = [Reading(bodies, "ann").start() for _ in range(6)]
    wait_until(lambda: statuses(of_ann) == {503: 2})
    of_bob = Reading(bodies, "bob").start()
    for reading in (*of_ann, of_bob):
        reading.end()
    assert statuses([*of_ann, of_bob]) == {503: 2, 200: 5}


def test_a_form_without_a_session_is_refused_unread(site: Site) -> None:
    for path, status in (("/sign-in", 403), ("/sign-out", 403), ("/products", 401)):
        answer = site.send(
            "POST", path, input_stream=Unread(), content_type=FORM, environ_overrides={"CONTENT_LENGTH": "1000"}
        )
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/sign-in", 64 << 10),
        ("/sign-out", 64 << 10),
        ("/entries", 64 << 10),
        ("/products", 1 << 20),
        ("/products/1", 1 << 20),
        ("/process", 1 << 20),
        ("/products/upload", (2 << 20) + (64 << 10)),
    ],
)
def test_forms_are_as_long_as_they_need_to_be(tmp_path: Path, path: str, limit: int) -> None:
    settings = {"max_body_bytes": 1 << 20, "upload_max_bytes": 2 << 20}
    with site_over(tmp_path / "data", api_keys="", **settings) as site:
        for length, status in ((limit - 1_000, 403), (limit + 1, 413)):  # 403: the form has no token
            browser = site.client()
            browser.get("/sign-in")
            body = FILE_HEAD + b"x" * length + b"\r\n--x--\r\n"
            answer = browser.post(path, data=body, content_type="multipart/form-data; boundary=x")
            assert answer.status_code == status


def test_a_body_that_is_too_long_or_broken_is_refused_as_its_place_does(site: Site) -> None:
    most = Settings().max_body_bytes
    answer = site.send("POST", "/webhook", data=b" " * (most + 1), content_type="application/json")
    assert (answer.status_code, code_of(answer)) == (413, "BODY_TOO_LARGE")
    answer = site.send(
        "POST",
        "/webhook",
        input_stream=BytesIO(b"{"),
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": "9"},
    )
    assert (answer.status_code, code_of(answer)) == (400, "BAD_REQUEST")


def test_a_content_length_of_too_many_digits_is_refused(site: Site) -> None:
    answer = site.send(
        "POST",
        "/webhook",
        input_stream=BytesIO(b"{}"),
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": "9" * 5_000},
    )
    assert (answer.status_code, code_of(answer)) == (400, "BAD_REQUEST")


def test_readiness_is_told_to_head_as_to_get(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", rate_limit="1/hour") as site:
        wrong = {"Authorization": "Bearer aw_wrong"}
        for _ in range(3):
            for method in ("GET", "HEAD"):
                assert site.send(method, "/ready", headers=wrong).status_code == 200
                assert site.send(method, "/health").status_code == 200
