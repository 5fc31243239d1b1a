"""Authenticates, rate-limits and authorises each request before it is handled."""

import time
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Request, current_app, request

from afterwrite.access import session
from afterwrite.access.caller import Sender, Way, current_caller, sender_of, set_sender
from afterwrite.access.cors import ANY, is_preflight, origins_of
from afterwrite.access.key_ring import KeyRing
from afterwrite.access.keys import Key
from afterwrite.access.opening import anonymous_role, is_loopback
from afterwrite.access.rate import rate_limit_of
from afterwrite.access.roles import Caller, Role
from afterwrite.access.slowing import KeyTries, place_of
from afterwrite.access.table import UNASKED, UNCOUNTED, Table
from afterwrite.base.own_command import own_command
from afterwrite.base.settings import Settings
from afterwrite.graphql_http.errors import HttpRefusal, RequestError
from afterwrite.graphql_http.streams import SOCKET

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_EXTENSION = "afterwrite_access"
_UNAUTHENTICATED = "UNAUTHENTICATED"
_SOCKET_RULE = "/graphql"
_CONSOLE = "console."  # the prefix of the web console's endpoints


class AccessControl:
    """Admits or refuses every request; thread-safe."""

    def __init__(
        self, settings: Settings, table: Table | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises SettingsError for invalid keys, RATE_LIMIT or CORS_ORIGINS, or an open server that others reach."""
        self.settings = settings
        self.table = table or Table()
        self.keys = KeyRing(settings, clock)
        self._tries = KeyTries(self.keys.known, self.keys.find, clock)
        self._rate = rate_limit_of(settings)
        self.ended = session.EndedSessions(settings.session_hours)
        role_at_start = anonymous_role(settings, has_keys=self.keys.had_keys)
        self._anonymous = {
            True: Sender(Caller(None, anonymous_role(settings, has_keys=True))),
            False: Sender(Caller(None, role_at_start)),
        }
        self.origins = origins_of(settings, role_at_start)
        self._pages: tuple[str, ...] = (_CONSOLE,)

    @property
    def is_open(self) -> bool:
        """Whether everybody on this machine has every right: there has been no key since the start."""
        return not self.settings.allow_anonymous and not self.keys.had_keys

    def admit(self, asked: Request) -> None:
        """Identify the sender of the request and check its rights. Raises HttpRefusal."""
        rule = asked.url_rule.rule if asked.url_rule else None
        method = asked.method
        self.keys.refresh()
        sender = self._anonymous[self.keys.had_keys]
        if self.is_open:
            wire = asked.environ.get("werkzeug.proxy_fix.orig", asked.environ)
            _check_host(wire.get("HTTP_HOST") or "")
        elif (method, rule) not in UNASKED:
            sender = self._identified(asked) or sender
        set_sender(asked, sender)
        if self.asks_only(asked):
            return
        if self._rate is not None and (method, rule) not in UNCOUNTED:
            self._count(asked, sender.caller)
        if rule is None:
            return
        needed = self.table.of_route(method, rule)
        # The key of a WebSocket may come after its handshake: `sign_in_socket` checks the role.
        is_handshake = SOCKET in asked.environ and (method, rule) == ("GET", _SOCKET_RULE)
        if sender.caller.role < needed and not is_handshake:
            raise _not_enough(sender.caller, needed, f"{method} {asked.path[:200]}")
        if method not in _SAFE_METHODS and self._needs_token(asked, sender) and not session.carries_token(asked):
            raise _wrong_token()

    def add_pages(self, blueprints: Collection[str]) -> None:
        """Treat the routes of these blueprints as pages of the console, whose forms carry a CSRF token."""
        self._pages += tuple(f"{name}." for name in blueprints)

    def is_page(self, asked: Request) -> bool:
        """Whether a request is for a page of the console or for one of the application's own."""
        return (asked.endpoint or "").startswith(self._pages)

    def asks_only(self, asked: Request) -> bool:
        """Whether this is a CORS preflight: it carries no key, counts against no limit, and runs nothing."""
        return bool(self.origins) and is_preflight(asked)

    def permit(self, asked: Request, operation: str, fields: Collection[str]) -> None:
        """Check that the sender may run a GraphQL operation with these root fields. Raises HttpRefusal."""
        caller = sender_of(asked).caller
        if caller.role is Role.ADMIN:
            return
        for name in fields:
            needed = self.table.of_field(operation, name)
            if caller.role < needed:
                raise _not_enough(caller, needed, f"The {operation} field {name}")

    def permit_still(self, asked: Request, operation: str, fields: Collection[str]) -> None:
        """Check that the sender of a running operation still has the right to it. Raises RequestError."""
        self.keys.refresh()
        sender = sender_of(asked)
        if sender.key is None:
            now = self._anonymous[self.keys.had_keys]
        else:
            key = self.keys.named(sender.key.name) if sender.held is None else self._key_of(sender.held)
            if key is None or key.hash != sender.key.hash:
                raise RequestError(f"The key {sender.key.name} was revoked, or its session ended", _UNAUTHENTICATED)
            now = sender._replace(caller=Caller(key.name, key.role), key=key)
        set_sender(asked, now)
        try:
            self.permit(asked, operation, fields)
        except HttpRefusal as refused:
            raise RequestError(refused.message, refused.code) from refused

    def holder_of(self, asked: Request) -> str | None:
        """The name under which a sender's share of a limit is counted; None on an open server, which has no shares."""
        return None if self.is_open else _named(asked, sender_of(asked).caller)

    def check_origin(self, asked: Request) -> None:
        """Check that a page of this server, or of an origin in CORS_ORIGINS, opens a WebSocket. Raises HttpRefusal.

        Browsers ask no server before, and send the session's cookie. Programs send no Origin.
        """
        origin = asked.environ.get("HTTP_ORIGIN")
        if origin is None or urlsplit(origin).netloc.lower() == asked.host.lower():
            return
        is_named = ANY in self.origins or origin.lower() in self.origins
        if not is_named or sender_of(asked).way is Way.SESSION:
            raise HttpRefusal(
                403, f"A page of {origin[:100]} may not open a WebSocket here (CORS_ORIGINS)", "FORBIDDEN"
            )

    def sign_in_socket(self, asked: Request, payload: Mapping[str, Any]) -> None:
        """Identify the sender of a WebSocket by the Authorization in its ``connection_init``. Raises HttpRefusal."""
        given = payload.get("Authorization", payload.get("authorization"))
        if given is not None and not self.is_open:
            kind, _, secret = str(given).partition(" ")
            set_sender(asked, self._with_secret(asked, secret if kind.lower() == "bearer" else ""))
        caller, needed = sender_of(asked).caller, self.table.of_route("GET", _SOCKET_RULE)
        if caller.role < needed:
            raise _not_enough(caller, needed, "A WebSocket")

    def count_operation(self, asked: Request) -> None:
        """Count an operation of a WebSocket as a request. Raises HttpRefusal."""
        if self._rate is not None:
            self._count(asked, sender_of(asked).caller)

    def try_secret(self, asked: Request, secret: str) -> Key | None:
        """The key with this secret, rate-limited by the address of the request. Raises TooManyTries."""
        return self._tries.look_up(asked.remote_addr or "", secret)

    def _identified(self, asked: Request) -> Sender | None:
        kind, _, secret = asked.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.lower() != "bearer":
            return self._identified_by_session() if "HTTP_COOKIE" in asked.environ else None
        return self._with_secret(asked, secret)

    def _with_secret(self, asked: Request, secret: str) -> Sender:
        key = self.try_secret(asked, secret.strip())
        if key is None:
            message = f"The key in the Authorization header is unknown: `{own_command('key list')}` lists the keys"
            raise _unauthenticated(message)
        return Sender(Caller(key.name, key.role), Way.BEARER, key)

    def _identified_by_session(self) -> Sender | None:
        held = session.held_session()
        key = self._key_of(held) if held is not None else None
        return Sender(Caller(key.name, key.role), Way.SESSION, key, held) if key is not None else None

    def _key_of(self, held: session.Held) -> Key | None:
        key = self.keys.named(held.name) if self.ended.lasts(held) else None
        return key if key is not None and key.fingerprint == held.mark else None

    def _needs_token(self, asked: Request, sender: Sender) -> bool:
        """A browser sends the cookie whichever page caused the request, and an open server needs no cookie."""
        return self.is_page(asked) if sender.way is Way.NONE else sender.way is Way.SESSION

    def _count(self, asked: Request, caller: Caller) -> None:
        assert self._rate is not None
        holder = _named(asked, caller)
        if seconds := self._rate.seconds_to_wait(holder):
            message = f"More requests than {self._rate.text} came from the {holder}: try again in {seconds} s"
            raise HttpRefusal(429, message, "RATE_LIMITED", (("Retry-After", str(seconds)),))


def install(access: AccessControl, app: Flask) -> None:
    """Register the access control with the application, for ``may`` and ``sign_in``."""
    app.extensions[_EXTENSION] = access


def may(name: str) -> bool:
    """Whether the caller of this request may use an entry of the table of roles, such as "Query.queue".

    A route is named by its method and rule: "POST /api/entries". Raises KeyError for a name that is not in the table.
    """
    access: AccessControl = current_app.extensions[_EXTENSION]
    return current_caller().role >= access.table.of_name(name)


def can_sign_in() -> bool:
    """Whether there are keys to sign in with and the caller of this request is anonymous."""
    access: AccessControl = current_app.extensions[_EXTENSION]
    return access.keys.had_keys and current_caller().name is None


def sign_in(secret: str) -> Caller | None:
    """Start a new browser session with the key that has this secret; None if there is no such key.

    Raises TooManyTries after too many wrong keys from this address.
    """
    access: AccessControl = current_app.extensions[_EXTENSION]
    key = access.try_secret(request, secret.strip())
    if key is None:
        return None
    session.begin_session(key)
    caller = Caller(key.name, key.role)
    set_sender(request, Sender(caller, Way.SESSION))
    return caller


def _check_host(header: str) -> None:
    """Refuse host names other than this machine's own, against DNS rebinding.

    Only browsers need this, and they always send a Host. The header is the one from the wire: an open server has no
    proxies but its own, which pass Host on, so X-Forwarded-Host is ignored.
    """
    if header and not _is_own_name(header):
        raise HttpRefusal(
            421,
            f"This server serves its own machine without keys, and {header[:100]!r} is not its name: use localhost or "
            f"127.0.0.1. To serve others, make a key with `{own_command('key add')}`, or set ALLOW_ANONYMOUS",
            "MISDIRECTED_REQUEST",
        )


@lru_cache(maxsize=256)
def _is_own_name(header: str) -> bool:
    host, _, port = header.rpartition(":")
    return is_loopback(host) if host and port.isdigit() else is_loopback(header)


def _named(asked: Request, caller: Caller) -> str:
    """The key or address under which requests are counted."""
    return f"address {place_of(asked.remote_addr or '')}" if caller.name is None else f"key {caller.name}"


def _unauthenticated(message: str) -> HttpRefusal:
    return HttpRefusal(401, message, _UNAUTHENTICATED, (("WWW-Authenticate", "Bearer"),))


def _wrong_token() -> HttpRefusal:
    return HttpRefusal(
        403,
        f"The request carries no token of this session, or a wrong one: reload the page. A program sends "
        f"the header {session.TOKEN_HEADER}, or a key as `Authorization: Bearer KEY` and no cookie",
        "CSRF_TOKEN_WRONG",
    )


def _not_enough(caller: Caller, needed: Role, what: str) -> HttpRefusal:
    if caller.name is None:
        return _unauthenticated(
            f"{what} needs the role {needed.word}, and this request has no key: "
            "send `Authorization: Bearer KEY`, or sign in"
        )
    message = f"{what} needs the role {needed.word}, and the key {caller.name} has {caller.role.word}: use another key"
    return HttpRefusal(403, message, "FORBIDDEN")
