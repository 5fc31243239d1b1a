"""Posts reach public addresses only, whatever a URL, a redirect or a name server says, and end in time."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
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

from webhooks.guarded_http import (
    Address,
    AddressRefused,
    Answer,
    GuardedHttp,
    PostFailed,
    PostLimits,
    any_address,
    check_callback_url,
    is_public,
)

T = TypeVar("T")
BODY = b'{"event":"task.completed"}'
SHORT = PostLimits(connect_seconds=0.3, whole_seconds=0.6)
NAME = "hook.example"
PUBLIC_HERE = "127.0.0.2"  # stands for a public address; 127.0.0.1 stays private


def public_here(address: Address) -> bool:
    """The rule of these tests: one loopback address is public, another one is not."""
    return str(address) == PUBLIC_HERE


class Names:
    """Answers as a name server; the last answer stays. Remembers what it was asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), list[str]()

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The next answer."""
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a loop of its own, with a limit."""

    async def limited() -> T:
        return await asyncio.wait_for(work, WAIT_SECONDS)

    return asyncio.run(limited())


def post(url: str, **guard: Any) -> Answer:
    """Post to a URL; every address is allowed unless the test says otherwise."""
    http = GuardedHttp(**({"is_allowed": any_address} | guard))
    try:
        return run(http.post(url, BODY, {"Content-Type": "application/json"}))
    finally:
        http.close()


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


def test_no_proxy_of_the_environment_is_used(
    server: ReceivingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ReceivingServer() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert post(server.url).status == 200
        assert (len(server.posts), proxy.connections) == (1, 0)


# -- addresses ---------------------------------------------------------------------------------------------------

NOT_PUBLIC_HOSTS = [
    "127.0.0.1",
    "127.8.9.1",
    "localhost",
    "LOCALHOST",
    "127.1",
    "0",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fc00::1]",
    "[ff02::1]",
]


@pytest.mark.parametrize("host", NOT_PUBLIC_HOSTS)
def test_a_host_that_is_not_public_is_refused_before_a_connection(server: ReceivingServer, host: str) -> None:
    with pytest.raises(AddressRefused):
        post(server.at(host), is_allowed=is_public)
    assert server.connections == 0


@pytest.mark.parametrize(
    "host", [*NOT_PUBLIC_HOSTS, "api.localhost", "localhost.", "0177.0.0.1", "\uff11\uff12\uff17.0.0.1"]
)
def test_such_a_host_is_refused_by_the_text_of_the_url(host: str) -> None:
    with pytest.raises(ValueError, match=r"public address|cannot be read"):
        check_callback_url(f"https://{host}/hook", allow_private=False)


@pytest.mark.parametrize("host", NOT_PUBLIC_HOSTS)
def test_private_hosts_can_be_allowed(host: str) -> None:
    check_callback_url(f"http://{host}/hook", allow_private=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1"])
def test_an_allowed_private_host_is_called(server: ReceivingServer, host: str) -> None:
    assert post(server.at(host)).status == 200
    assert server.posts[0].headers["host"] == f"{host}:{server.server_port}"


def test_an_allowed_address_of_version_6_is_called() -> None:
    with ReceivingServer6(host="::1") as server:
        assert post(f"http://[::1]:{server.server_port}/").status == 200
        assert server.posts[0].headers["host"] == f"[::1]:{server.server_port}"


class ReceivingServer6(ReceivingServer):
    """The same on an address of version 6."""

    address_family = socket.AF_INET6


def test_a_name_with_one_address_that_is_not_public_is_refused(server: ReceivingServer) -> None:
    for addresses in (
        [PUBLIC_HERE, "127.0.0.1"],
        ["127.0.0.1", PUBLIC_HERE],
        [PUBLIC_HERE] * 9 + ["10.0.0.1"],
    ):
        with pytest.raises(AddressRefused, match=NAME):
            post(server.at(NAME), is_allowed=public_here, resolve=Names(addresses))
    assert server.connections == 0


def test_a_refusal_does_not_tell_what_the_name_stands_for() -> None:
    with pytest.raises(AddressRefused) as caught:
        post(f"http://{NAME}/", is_allowed=is_public, resolve=Names(["10.20.30.40"]))
    assert "10.20.30.40" not in str(caught.value)


def test_a_name_that_changes_after_it_was_checked_changes_nothing() -> None:
    names = Names([PUBLIC_HERE], ["127.0.0.1"])
    with ReceivingServer(host=PUBLIC_HERE) as outside:
        assert post(outside.at(NAME), is_allowed=public_here, resolve=names).status == 200
        assert names.asked == [NAME]
        assert outside.posts[0].headers["host"] == f"{NAME}:{outside.server_port}"
        with pytest.raises(AddressRefused):  # the next post asks again, and looks again
            post(outside.at(NAME), is_allowed=public_here, resolve=names)
        assert names.asked == [NAME, NAME]
        assert outside.connections == 1


def test_a_name_is_asked_once_for_each_connection_of_a_redirect() -> None:
    names = Names([PUBLIC_HERE], [PUBLIC_HERE], ["127.0.0.1"])
    with ReceivingServer(host=PUBLIC_HERE) as outside:
        outside.replies = [reply(307, Location="/second"), reply(307, Location="/third"), reply(200)]
        with pytest.raises(AddressRefused):
            post(outside.at(NAME), is_allowed=public_here, resolve=names)
        assert names.asked == [NAME] * 3
        assert [arrived.path for arrived in outside.posts] == ["/", "/second"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "10.0.0.1"])
@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_to_a_private_address_is_refused(server: ReceivingServer, host: str, status: int) -> None:
    with ReceivingServer(reply(status, Location=server.at(host)), host=PUBLIC_HERE) as outside:
        with pytest.raises(AddressRefused):
            post(outside.url, is_allowed=public_here)
        assert len(outside.posts) == 1
    assert server.connections == 0


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_ipv6_clothes_is_judged_as_itself(address: IPv4Address) -> None:
    number = int(address)
    clothes = [0xFFFF << 32 | number, int(ip_address("64:ff9b::")) | number, 0x2002 << 112 | number << 80]
    assert {is_public(IPv6Address(dressed)) for dressed in clothes} == {is_public(address)}
    assert not is_public(IPv6Address(number))  # the form that was given up


@given(st.ip_addresses())
def test_what_is_public_is_global_and_no_multicast(address: Address) -> None:
    if is_public(address) and address.version == 4:
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_private


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450::1", "64:ff9b::808:808"],
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


SPECIAL_PURPOSE = """
192.0.0.192 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 192.88.99.1 168.63.129.16 240.0.0.1 100.100.100.200
::2 64:ff9b:1::1 100::1 2001::1 2001:db8::1 3fff::1 fec0::1 fd00:ec2::254 5f00::1 2002:a00:1:: 64:ff9b::a9fe:a9fe
::ffff:100.64.0.1
"""


@pytest.mark.parametrize("address", SPECIAL_PURPOSE.split())
def test_addresses_for_a_special_purpose_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


# -- URLs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "begins with"),
        ("example.com/hook", "begins with"),
        ("//example.com/hook", "begins with"),
        ("ftp://example.com/", "'ftp'"),
        ("file:///etc/passwd", "'file'"),
        ("gopher://example.com/", "'gopher'"),
        ("http:///hook", "host"),
        ("https:hook", "host"),
        ("https://exa mple.com/", "host"),
        ("https://%31%32%37.0.0.1/", "host"),
        ("https://[fe80::1%25eth0]/", "host"),
        ("https://user:word@example.com/", "user name"),
        ("https://user@example.com/", "user name"),
        ("https://example.com\\@127.0.0.1/", "user name"),
        ("https://example.com:0/", "port"),
        ("https://example.com:65536/", "port"),
        ("https://example.com:http/", "cannot be read"),
        ("https://example.com/\r\nX-Header: 1", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://example.com/" + "a" * 1_981, "2001 characters"),
    ],
)
def test_a_url_that_cannot_be_called_is_refused_with_the_reason(url: str, reason: str) -> None:
    for allow_private in (False, True):
        with pytest.raises(ValueError, match=reason):
            check_callback_url(url, allow_private=allow_private)
    with pytest.raises(AddressRefused, match=reason):
        post(url)


def test_a_refused_url_shows_no_password() -> None:
    with pytest.raises(ValueError, match="password") as caught:
        check_callback_url("https://user:hunter2@example.com/", allow_private=True)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://example.com:8080/hook?token=1#part",
        "HTTPS://EXAMPLE.COM./",
        "https://bücher.example/",
        "https://my_host.example/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:8443/",
        "https://localhost.example/",
        "https://example.com/" + "a" * 1_980,
    ],
)
def test_a_url_of_the_internet_may_be_given(url: str) -> None:
    check_callback_url(url, allow_private=False)


@given(
    st.text(), st.sampled_from(["", "http://", "https://", "https://example.com/", "https://example.com:"])
)
def test_any_text_is_a_url_or_a_refusal(text: str, begin: str) -> None:
    try:
        check_callback_url(begin + text, allow_private=False)
    except ValueError as error:
        assert str(error)


# -- redirects ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_that_keeps_the_post_is_followed(server: ReceivingServer, status: int) -> None:
    server.replies = [reply(status, Location="../new?x=1"), reply(200)]
    assert post(f"{server.url}/old/hook").status == 200
    assert [arrived.path for arrived in server.posts] == ["/old/hook", "/new?x=1"]
    assert [arrived.body for arrived in server.posts] == [BODY, BODY]


def test_three_redirects_are_followed_and_no_more(server: ReceivingServer) -> None:
    server.replies = [reply(307, Location="/")] * 3 + [reply(200)]
    assert post(server.url).status == 200
    server.replies = [reply(307, Location="/")]
    with pytest.raises(PostFailed, match="3 times") as caught:
        post(server.url)
    assert caught.value.code == "REDIRECT_NOT_FOLLOWED"
    assert len(server.posts) == 4 + 4


def test_a_redirect_without_an_address_fails(server: ReceivingServer) -> None:
    server.replies = [reply(307)]
    with pytest.raises(PostFailed, match="did not say where") as caught:
        post(server.url)
    assert caught.value.code == "REDIRECT_NOT_FOLLOWED"


@pytest.mark.parametrize(
    "location",
    [
        "ftp://example.com/",
        "http://user:word@example.com/",
        "http://[::1/",
        "/" + "a" * 2_000,
        "\x01",
    ],
)
def test_a_redirect_to_a_url_that_cannot_be_called_is_refused(server: ReceivingServer, location: str) -> None:
    server.replies = [reply(307, Location=location)]
    with pytest.raises((AddressRefused, PostFailed)):
        post(server.url)
    assert len(server.posts) == 1


# -- time and size -----------------------------------------------------------------------------------------------


def fails(code: str, url: str, **guard: Any) -> str:
    """The message of a post that must fail with a code."""
    with pytest.raises(PostFailed) as caught:
        post(url, **guard)
    assert caught.value.code == code
    return str(caught.value)


BEGIN = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer", [silence, trickle(BEGIN, b"X: 1\r\n"), trickle(b"", b"H"), trickle(BEGIN, b"x")]
)
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
