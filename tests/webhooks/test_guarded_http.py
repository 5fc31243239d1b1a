"""Posts arrive as they were given, end in time, and go over TLS to whom they are for."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from guarded_posts import BODY, NAME, PUBLIC_HERE, Names, post, public_here, run
from receiving_server import (
    WAIT_SECONDS,
    Certificate,
    ReceivingServer,
    Reply,
    make_certificate,
    raw,
    reply,
    silence,
    trickle,
)

from afterwrite.webhooks.guarded_http import Answer, GuardedHttp, PostFailed, PostLimits, any_address

SHORT = PostLimits(connect_seconds=0.3, whole_seconds=0.6)


@pytest.fixture
def server() -> Iterator[ReceivingServer]:
    """A server on 127.0.0.1 that answers 200."""
    with ReceivingServer() as one:
        yield one


# -- what is sent and what comes back ---------------------------------------------------------------------------


def test_a_post_arrives_as_it_was_given(server: ReceivingServer) -> None:
    server.replies = [reply(202, b"thank\r\n\tyou\x00", Retry_After="7")]
    answer = post(f"{server.url}/hooks/a%20b?token=1&x=%C3%BC#part")
    assert answer == Answer(202, "7", "thank you")
    [arrived] = server.posts
    assert (arrived.path, arrived.body) == ("/hooks/a%20b?token=1&x=%C3%BC", BODY)
    assert arrived.headers["host"] == f"127.0.0.1:{server.server_port}"
    assert arrived.headers["content-type"] == "application/json"
    assert arrived.headers["content-length"] == str(len(BODY))


@pytest.mark.parametrize("status", [200, 204, 301, 302, 303, 304, 400, 404, 410, 429, 500, 503])
def test_every_status_but_a_followed_redirect_is_an_answer(server: ReceivingServer, status: int) -> None:
    server.replies = [reply(status, Location=server.url + "/elsewhere")]
    assert post(server.url).status == status
    assert len(server.posts) == 1


def test_no_proxy_of_the_environment_is_used(server: ReceivingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with ReceivingServer() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert post(server.url).status == 200
        assert (len(server.posts), proxy.connections) == (1, 0)


# -- time and size -----------------------------------------------------------------------------------------------


def test_by_default_a_post_ends_within_seconds() -> None:
    assert (PostLimits().connect_seconds, PostLimits().whole_seconds) == (5, 15)


def fails(code: str, url: str, **guard: Any) -> str:
    """The message of a post that must fail with a code."""
    with pytest.raises(PostFailed) as caught:
        post(url, **guard)
    assert caught.value.code == code
    return str(caught.value)


BEGIN = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("answer", [silence, trickle(BEGIN, b"X: 1\r\n"), trickle(b"", b"H"), trickle(BEGIN, b"x")])
def test_an_answer_without_its_head_in_time_is_a_timeout(server: ReceivingServer, answer: Reply) -> None:
    server.replies = [answer]
    assert "0.6 s" in fails("TIMEOUT", server.url, limits=SHORT)


def test_a_status_counts_although_the_body_never_ends(server: ReceivingServer) -> None:
    server.replies = [trickle(BEGIN + b"\r\n", b"drop ")]
    answer = post(server.url, limits=SHORT)
    assert answer.status == 200
    assert answer.excerpt.startswith("drop drop")


def test_a_status_counts_although_the_body_is_cut_off(server: ReceivingServer) -> None:
    server.replies = [raw(BEGIN + b"Content-Length: 9\r\n\r\nhalf")]
    assert post(server.url) == Answer(200, None, "half")


def test_of_a_huge_body_little_is_read_and_less_is_kept(server: ReceivingServer) -> None:
    written = 0
    done = threading.Event()

    def flood(_post: object, out: Any, closing: threading.Event) -> None:
        nonlocal written
        try:
            out.write(BEGIN + b"\r\n")
            while not closing.is_set():
                written += out.write(b"\xff\xfenone " * 10_000)
        finally:
            done.set()

    server.replies = [flood]
    answer = post(server.url)
    assert answer.status == 200
    assert 0 < len(answer.excerpt) <= 200
    assert done.wait(WAIT_SECONDS), "the connection was not closed"
    assert written < 64 << 20  # what the buffers of two sockets hold, not what there would be


def test_a_huge_head_fails(server: ReceivingServer) -> None:
    server.replies = [trickle(BEGIN, b"X: " + b"x" * 50_000 + b"\r\n", 0.0)]
    fails("CONNECTION_FAILED", server.url)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n"])
def test_what_is_no_http_fails(server: ReceivingServer, answer: bytes) -> None:
    server.replies = [raw(answer)]
    assert fails("CONNECTION_FAILED", server.url)


def test_a_header_with_a_line_in_it_is_not_sent(server: ReceivingServer) -> None:
    http = GuardedHttp(is_allowed=any_address)
    with pytest.raises(PostFailed):
        run(http.post(server.url, BODY, {"Webhook-Id": "a\r\nX-Other: b"}))
    http.close()
    assert server.posts == []


def test_a_port_where_nobody_listens_fails() -> None:
    with ReceivingServer() as closed:
        url = closed.url
    assert "connection" in fails("CONNECTION_FAILED", url)


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    with ReceivingServer(host=PUBLIC_HERE) as outside:
        addresses = Names(["::1", "127.0.0.9", "127.0.0.8", PUBLIC_HERE])
        assert post(outside.at(NAME), resolve=addresses).status == 200


def test_a_name_with_many_addresses_is_tried_at_three_of_each_version(server: ReceivingServer) -> None:
    many = [f"127.0.0.{number}" for number in range(10, 90)] + ["127.0.0.1"]
    fails("CONNECTION_FAILED", server.at(NAME), resolve=Names(many))
    assert server.connections == 0


def test_a_name_without_an_address_fails() -> None:
    assert NAME in fails("CONNECTION_FAILED", f"http://{NAME}/", resolve=Names([]))


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b"])
def test_a_name_that_no_name_server_could_know_fails(host: str) -> None:
    assert "cannot be resolved" in fails("CONNECTION_FAILED", f"http://{host}/")


def test_a_name_server_that_does_not_answer_is_a_timeout_and_takes_no_thread_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released, asked = threading.Event(), threading.Event()

    def hang(*_arguments: object, **_options: object) -> list[Any]:
        asked.set()
        released.wait(WAIT_SECONDS)
        raise OSError("no answer")

    monkeypatch.setattr("socket.getaddrinfo", hang)
    http = GuardedHttp(limits=SHORT)

    async def many() -> list[object]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        posts = [asyncio.create_task(http.post(f"http://{NAME}/", BODY, {})) for _ in range(40)]
        await asyncio.sleep(0)  # now all of them ask
        assert await asyncio.wait_for(asyncio.to_thread(asked.wait, WAIT_SECONDS), 5)
        return await asyncio.gather(*posts, return_exceptions=True)

    try:
        outcomes = run(many())
    finally:
        released.set()
        http.close()
    assert {getattr(outcome, "code", outcome) for outcome in outcomes} == {"TIMEOUT"}


# -- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for the name of these tests."""
    return make_certificate(tmp_path_factory.mktemp("certificate"), NAME)


def test_tls_is_made_for_the_name_at_the_checked_address(certificate: Certificate) -> None:
    serving, named = certificate.serving(), list[str | None]()

    def note_name(_connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        named.append(name)

    serving.sni_callback = note_name
    names = Names([PUBLIC_HERE], ["127.0.0.1"])
    with ReceivingServer(host=PUBLIC_HERE, tls=serving) as outside:
        guard = {"is_allowed": public_here, "resolve": names, "tls": certificate.trusting()}
        assert post(outside.at(NAME), **guard).status == 200
        assert outside.posts[0].headers["host"] == f"{NAME}:{outside.server_port}"
    assert (named, names.asked) == ([NAME], [NAME])


@pytest.mark.parametrize(("name", "trusted"), [("other.example", True), (NAME, False)])
def test_a_certificate_of_another_name_or_of_nobody_known_fails(
    certificate: Certificate, name: str, trusted: bool
) -> None:
    with ReceivingServer(tls=certificate.serving()) as server:
        tls = certificate.trusting() if trusted else None
        message = fails("CONNECTION_FAILED", server.at(name), resolve=Names(["127.0.0.1"]), tls=tls)
        assert "certificate verify failed" in message
        assert server.posts == []


def test_a_redirect_from_https_to_http_is_not_followed(certificate: Certificate) -> None:
    with ReceivingServer() as plain, ReceivingServer(tls=certificate.serving()) as server:
        server.replies = [reply(307, Location=plain.url)]
        guard = {"resolve": Names(["127.0.0.1"]), "tls": certificate.trusting()}
        assert "encrypted" in fails("REDIRECT_NOT_FOLLOWED", server.at(NAME), **guard)
        assert (len(server.posts), plain.connections) == (1, 0)


@pytest.mark.parametrize(("connect_seconds", "whole_seconds"), [(0.3, 9), (9, 0.3)])
def test_a_handshake_that_never_ends_is_a_timeout_and_leaves_no_socket_open(
    connect_seconds: float, whole_seconds: float
) -> None:
    limits = PostLimits(connect_seconds=connect_seconds, whole_seconds=whole_seconds)
    http = GuardedHttp(is_allowed=any_address, limits=limits)

    async def closed_after(listener: socket.socket) -> None:
        with pytest.raises(PostFailed) as caught:
            await http.post(f"https://127.0.0.1:{listener.getsockname()[1]}", BODY, {})
        assert caught.value.code == "TIMEOUT"
        await asyncio.to_thread(read_to_end, listener)

    with socket.create_server(("127.0.0.1", 0)) as listener:  # it takes the connection, and nobody answers
        run(closed_after(listener))
    http.close()


def read_to_end(listener: socket.socket) -> None:
    """Read what the first connection sent, until the other side has closed it."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(WAIT_SECONDS)
        while connection.recv(65_536):
            pass


def test_a_post_that_is_cancelled_leaves_no_socket_open(server: ReceivingServer) -> None:
    server.replies = [silence]
    http = GuardedHttp(is_allowed=any_address)

    async def cancelled() -> None:
        posting = asyncio.create_task(http.post(server.url, BODY, {}))
        await asyncio.to_thread(server.wait)
        posting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await posting

    run(cancelled())
    http.close()
