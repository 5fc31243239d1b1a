"""Posts reach public addresses only, whatever a URL, a redirect or a name server says."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from guarded_posts import BODY, NAME, PUBLIC_HERE, Names, post, public_here
from hypothesis import given
from hypothesis import strategies as st
from receiving_server import ReceivingServer, reply

from afterwrite.webhooks.guarded_http import Address, AddressRefused, PostFailed, check_callback_url, is_public


@pytest.fixture
def server() -> Iterator[ReceivingServer]:
    """A server on 127.0.0.1 that answers 200."""
    with ReceivingServer() as one:
        yield one


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
    for addresses in ([PUBLIC_HERE, "127.0.0.1"], ["127.0.0.1", PUBLIC_HERE], [PUBLIC_HERE] * 9 + ["10.0.0.1"]):
        with pytest.raises(AddressRefused, match=NAME):
            post(server.at(NAME), is_allowed=public_here, resolve=Names(addresses))
    assert server.connections == 0


def test_a_refusal_does_not_tell_what_the_name_stands_for() -> None:
    with pytest.raises(AddressRefused) as caught:
        post(f"http://{NAME}/", is_allowed=is_public, resolve=Names(["10.20.30.40"]))
    assert "10.20.30.40" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "told"),
    [
        (NAME, f"did not call {NAME}, which leads to 10.0.0.7: the address is not public"),
        ("10.0.0.7", "did not call 10.0.0.7: the address is not public"),
    ],
)
def test_the_log_names_the_address_once(caplog: pytest.LogCaptureFixture, host: str, told: str) -> None:
    with pytest.raises(AddressRefused):
        post(f"http://{host}/", is_allowed=is_public, resolve=Names(["10.0.0.7"]))
    assert [record.getMessage() for record in caplog.records if record.name.startswith("afterwrite")] == [told]


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
    "address", ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450::1", "64:ff9b::808:808"]
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


@given(st.text(), st.sampled_from(["", "http://", "https://", "https://example.com/", "https://example.com:"]))
def test_any_text_is_a_url_or_a_refusal(text: str, begin: str) -> None:
    try:
        check_callback_url(begin + text, allow_private=False)
    except ValueError as error:
        assert str(error)


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
    with pytest.raises(PostFailed, match="without a Location") as caught:
        post(server.url)
    assert caught.value.code == "REDIRECT_NOT_FOLLOWED"


@pytest.mark.parametrize(
    "location", ["ftp://example.com/", "http://user:word@example.com/", "http://[::1/", "/" + "a" * 2_000, "\x01"]
)
def test_a_redirect_to_a_url_that_cannot_be_called_is_refused(server: ReceivingServer, location: str) -> None:
    server.replies = [reply(307, Location=location)]
    with pytest.raises((AddressRefused, PostFailed)):
        post(server.url)
    assert len(server.posts) == 1
