"""HTTP posts guarded against server-side request forgery (SSRF): only to public addresses.

The creator of a task chooses its callback URL, and may aim this server at a target that only the server can reach. The
text of a URL proves nothing: a name may resolve to any address, and to another one the next moment. So each connection,
also of a redirect, resolves its name once, refuses it if any of its addresses is not public, and connects to the very
addresses that were checked; only TLS and ``Host`` use the name.
(https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html)
"""

import asyncio
import contextlib
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

import httpcore
import httpx

from afterwrite.webhooks.callback_pattern import URL_MAX_CHARACTERS

Address = IPv4Address | IPv6Address
AddressRule = Callable[[Address], bool]
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_PORT_MAX = 65_535
_HOST = re.compile(r"[a-z0-9_-][a-z0-9._-]*|[0-9a-f:]+:[0-9a-f:.]*", re.ASCII)
# Accepted by ``ipaddress.is_global``, at least in some versions of Python: 6to4 relays, protocol assignments (with a
# metadata service among them), Azure's service for virtual machines, documentation. IPv6 hosts are in 2000::/3.
_ALSO_NOT_PUBLIC = [
    ip_network(text) for text in ("192.88.99.0/24", "192.0.0.0/24", "168.63.129.16/32", "2001::/23", "3fff::/20")
]
_HOSTS_6, _NAT64 = ip_network("2000::/3"), ip_network("64:ff9b::/96")
_TRIED_OF_EACH_FAMILY = 3
_RESOLVING_THREADS = 8
_EXCERPT_CHARACTERS = 200
_POSTED_AGAIN = (307, 308)
_BROKEN = (httpcore.NetworkError, httpcore.ProtocolError)
_LATE = (TimeoutError, httpcore.TimeoutException)

_log = logging.getLogger("afterwrite.webhooks")


class AddressRefused(ValueError):
    """The URL is invalid or leads to a forbidden address; nothing was sent."""


class PostFailed(Exception):
    """The post got no answer; ``code`` is TIMEOUT, CONNECTION_FAILED or REDIRECT_NOT_FOLLOWED."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Answer(NamedTuple):
    """An answer: the status, the raw ``Retry-After``, and the beginning of the body in one line."""

    status: int
    retry_after: str | None
    excerpt: str


@dataclass(frozen=True, slots=True)
class PostLimits:
    """Timeouts and limits; ``connect_seconds`` covers DNS and TCP, and again TLS; ``whole_seconds`` covers the post."""

    connect_seconds: float = 5.0
    whole_seconds: float = 15.0
    answer_bytes: int = 64 * 1024
    redirects: int = 3


def check_callback_url(url: str, *, allow_private: bool) -> None:
    """Raise ValueError for a URL that no delivery would ever be sent to, judging by its text alone."""
    host = _read_url(url).raw_host.decode()
    address = _address_in_text(host)
    is_local = host.rstrip(".").rpartition(".")[2] == "localhost" or (address and not is_public(address))
    if is_local and not allow_private:
        raise AddressRefused(
            f"The URL leads to {host}, which is not a public address: give a host of the internet "
            "(WEBHOOK_ALLOW_PRIVATE=on allows private ones)"
        )


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet.

    By IANA's special-purpose registries, that excludes private, loopback, link-local, shared (100.64.0.0/10),
    multicast, reserved and documentation addresses. An IPv6 address that embeds an IPv4 one (mapped, 6to4, NAT64) is
    judged by that.
    """
    if isinstance(address, IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inside = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inside is not None:
            return is_public(inside)
        if address not in _HOSTS_6:
            return False
    refused = any(address in network for network in _ALSO_NOT_PUBLIC)
    return address.is_global and not address.is_multicast and not refused


def any_address(_address: Address) -> bool:
    """Allow every address, for WEBHOOK_ALLOW_PRIVATE=on."""
    return True


class GuardedHttp:
    """Concurrent posts on an asyncio loop, with no connection reuse and no proxy."""

    def __init__(
        self,
        *,
        is_allowed: AddressRule = is_public,
        resolve: Resolve | None = None,
        limits: PostLimits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls`` None trusts the certificates of certifi, or of SSL_CERT_FILE if set."""
        self._is_allowed, self._resolve = is_allowed, resolve or self._ask_system
        self._limits = limits or PostLimits()
        self._tls = tls or httpx.create_ssl_context()
        # Separate from the loop's threads, which serve the writer: an unresponsive name server blocks a thread for half
        # a minute, even after the caller has timed out.
        self._threads = ThreadPoolExecutor(_RESOLVING_THREADS, thread_name_prefix="resolve")

    def close(self) -> None:
        """Release the threads without waiting for a name server."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post ``body`` and return the answer, whatever its status.

        Follows 307 and 308, at most three times and never from https to http. 301, 302 and 303 are returned as answers,
        because clients turn such a POST into a GET without a body. Once there is a status it counts, even if the rest
        of the answer fails. Raises AddressRefused, which is not worth a retry, and PostFailed.
        """
        seconds = self._limits.whole_seconds
        try:
            async with asyncio.timeout(seconds) as limit:
                target = _read_url(url)
                for _ in range(self._limits.redirects + 1):
                    answer = await self._post_once(target, body, headers, limit)
                    if isinstance(answer, Answer):
                        return answer
                    target = answer
        except _LATE as error:
            raise PostFailed("TIMEOUT", f"The request timed out after {seconds:g} s") from error
        except _BROKEN as error:
            reason = str(error) or type(error).__name__
            raise PostFailed("CONNECTION_FAILED", f"The connection failed: {reason}") from error
        reason = f"The URL was redirected more than {self._limits.redirects} times: give the last one"
        raise PostFailed("REDIRECT_NOT_FOLLOWED", reason)

    async def _post_once(
        self, target: httpx.URL, body: bytes, headers: Mapping[str, str], limit: asyncio.Timeout
    ) -> Answer | httpx.URL:
        parts = {"scheme": target.raw_scheme, "host": target.raw_host, "target": target.raw_path}
        url = httpcore.URL(**parts, port=target.port)
        own = {"Host": target.netloc.decode(), "Accept-Encoding": "identity", "Connection": "close"}
        sent = [*headers.items(), *own.items()]
        limits = {"timeout": {"connect": self._limits.connect_seconds}}
        async with contextlib.AsyncExitStack() as stack:
            sockets = _CheckedSockets(self._is_allowed, self._resolve)
            stack.push_async_callback(sockets.close)
            connection = httpcore.AsyncHTTPConnection(url.origin, self._tls, network_backend=sockets)
            await stack.enter_async_context(connection)
            posting = connection.stream("POST", url, headers=sent, content=body, extensions=limits)
            response = await stack.enter_async_context(posting)
            given = {name.lower(): value.decode("utf-8", "replace") for name, value in response.headers}
            if response.status in _POSTED_AGAIN:
                return _redirected(target, response.status, given.get(b"location"))
            excerpt = await self._read_excerpt(response, limit)
            return Answer(response.status, given.get(b"retry-after"), excerpt)

    async def _read_excerpt(self, response: httpcore.Response, limit: asyncio.Timeout) -> str:
        """Read the answer to its end if that is quick: an early disconnect may abort the receiver's work."""
        deadline, received = limit.when(), bytearray()
        limit.reschedule(None)  # a timeout from here on is not a failure
        with contextlib.suppress(*_LATE, *_BROKEN):
            async with asyncio.timeout_at(deadline):
                async for chunk in response.aiter_stream():
                    received += chunk
                    if len(received) >= self._limits.answer_bytes:
                        break
        text = received[: 4 * _EXCERPT_CHARACTERS].decode("utf-8", "replace")
        printable = "".join(letter if letter.isprintable() else " " for letter in text)
        return " ".join(printable.split())[:_EXCERPT_CHARACTERS]

    async def _ask_system(self, host: str, port: int) -> list[str]:
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return [str(address[0]) for *_, address in found]


class _CheckedSockets(httpcore.AsyncNetworkBackend):
    """Opens checked sockets; httpcore offers no other hook (https://www.encode.io/httpcore/network-backends/)."""

    def __init__(self, is_allowed: AddressRule, resolve: Resolve) -> None:
        self._is_allowed, self._resolve = is_allowed, resolve
        self._plain = httpcore.AnyIOBackend()
        self._opened: list[httpcore.AsyncNetworkStream] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve the name, check every address, and connect to the first one that answers."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (timeout or PostLimits().connect_seconds)
        async with asyncio.timeout_at(deadline):
            addresses = await self._allowed_addresses(host, port)
        failure: Exception = httpcore.ConnectError(f"The name {host} has no address")
        for number, address in enumerate(addresses):
            # An unresponsive address leaves time for the next one.
            share = max(0.0, deadline - loop.time()) / (len(addresses) - number)
            try:
                stream = await self._plain.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                self._opened.append(stream)
                return stream
        raise failure

    async def close(self) -> None:
        """Close open sockets: httpcore leaks one when a TLS handshake is interrupted."""
        for stream in self._opened:
            await stream.aclose()

    async def _allowed_addresses(self, host: str, port: int) -> list[str]:
        try:
            addresses = dict.fromkeys(ip_address(text) for text in await self._resolve(host, port))
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"The name {host} cannot be resolved: {error}") from error
        if refused := [str(address) for address in addresses if not self._is_allowed(address)]:
            # Logged only: the creator of the URL must not learn what this network's names resolve to.
            leads = "" if refused == [host] else f", which leads to {', '.join(refused)}"
            _log.warning("did not call %s%s: the address is not public", host, leads)
            raise AddressRefused(
                f"{host} leads to an address that is not public, so nothing was sent there "
                "(WEBHOOK_ALLOW_PRIVATE=on allows it)"
            )
        families = [[str(one) for one in addresses if one.version == version] for version in (4, 6)]
        tried = {text for family in families for text in family[:_TRIED_OF_EACH_FAMILY]}
        return [str(address) for address in addresses if str(address) in tried]


def _read_url(url: str) -> httpx.URL:
    """Parse a URL. Raises AddressRefused if it cannot be called."""
    if len(url) > URL_MAX_CHARACTERS:
        raise AddressRefused(f"The URL has {len(url)} characters: give at most {URL_MAX_CHARACTERS}")
    try:
        read = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise AddressRefused(f"The URL cannot be read: {error}") from error
    if read.scheme not in ("http", "https"):
        raise AddressRefused(f"The URL begins with {read.scheme!r}: give one with https:// or http://")
    if not _HOST.fullmatch(read.raw_host.decode()):
        raise AddressRefused(f"The URL has the host {read.host!r}: give a name or an address after ://")
    if read.userinfo:
        raise AddressRefused("The URL contains a user name or a password, which would be stored: remove it")
    if read.port is not None and not 0 < read.port <= _PORT_MAX:
        raise AddressRefused(f"The URL has the port {read.port}: give one from 1 to {_PORT_MAX}")
    return read


def _address_in_text(host: str) -> Address | None:
    """The address that a host denotes, in any notation that systems accept: 127.1, 0x7f000001, 2130706433."""
    with contextlib.suppress(ValueError):
        return ip_address(host)
    with contextlib.suppress(OSError):
        return IPv4Address(socket.inet_aton(host))
    return None


def _redirected(current: httpx.URL, status: int, location: str | None) -> httpx.URL:
    if not location:
        raise PostFailed("REDIRECT_NOT_FOLLOWED", f"{current.host} answered {status} without a Location header")
    try:
        target = _read_url(str(current.join(location)))
    except httpx.InvalidURL as error:
        raise AddressRefused(f"{current.host} redirected to a URL that cannot be read: {error}") from error
    if (current.scheme, target.scheme) == ("https", "http"):
        reason = f"{current.host} redirected from https to http, where the event would not be encrypted"
        raise PostFailed("REDIRECT_NOT_FOLLOWED", reason)
    return target
