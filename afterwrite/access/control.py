"""Looks at each request before it is answered: who sends it, how often, and whether they may."""

import time
from collections.abc import Callable, Collection
from functools import lru_cache

from flask import Flask, Request, current_app, request

from afterwrite.access import session
from afterwrite.access.caller import Sender, Way, current_caller, sender_of, set_sender
from afterwrite.access.cors import is_preflight, origins_of
from afterwrite.access.key_ring import KeyRing
from afterwrite.access.keys import Key
from afterwrite.access.opening import anonymous_role, is_loopback
from afterwrite.access.rate import rate_limit_of
from afterwrite.access.roles import Caller, Role
from afterwrite.access.slowing import KeyTries, place_of
from afterwrite.access.table import UNASKED, UNCOUNTED, Table
from afterwrite.base.settings import Settings
from afterwrite.graphql_http.errors import HttpRefusal

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_EXTENSION = "afterwrite_access"
CONSOLE = "console."
"""How the endpoints of the web console begin, all of whose forms carry a token."""


class AccessControl:
    """Decides over every request; may be used from any number of threads."""

    def __init__(
        self,
        settings: Settings,
        table: Table | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises SettingsError when keys, RATE_LIMIT or CORS_ORIGINS cannot be used, or the server may not start so."""
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

    @property
    def is_open(self) -> bool:
        """Whether everybody on this machine may do everything: no key was there since the start."""
        return not self.settings.allow_anonymous and not self.keys.had_keys

    def admit(self, asked: Request) -> None:
        """Find out who sends the request, and return if it may pass. Raises HttpRefusal."""
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
        if sender.caller.role < needed:
            raise _not_enough(sender.caller, needed, f"{method} {asked.path[:200]}")
        if method not in _SAFE_METHODS and _needs_token(asked, sender) and not session.carries_token(asked):
            raise _wrong_token()

    def asks_only(self, asked: Request) -> bool:
        """Whether this is a browser's preflight: it shows no key, counts against no limit, and runs nothing."""
        return bool(self.origins) and is_preflight(asked)

    def permit(self, asked: Request, operation: str, fields: Collection[str]) -> None:
        """Let an operation of GraphQL with these root fields pass. Raises HttpRefusal."""
        caller = sender_of(asked).caller
        if caller.role is Role.ADMIN:
            return
        for name in fields:
            needed = self.table.of_field(operation, name)
            if caller.role < needed:
                raise _not_enough(caller, needed, f"The {operation} field {name}")

    def permit_still(self, asked: Request, operation: str, fields: Collection[str]) -> None:
        """Let an operation go on that was permitted, if its sender may it still. Raises HttpRefusal."""
        self.keys.refresh()
        sender = sender_of(asked)
        if sender.key is None:
            now = self._anonymous[self.keys.had_keys]
        else:
            key = self.keys.named(sender.key.name) if sender.held is None else self._key_of(sender.held)
            if key is None or key.hash != sender.key.hash:
                raise _unauthenticated(f"The key {sender.key.name}, or its session, counts no more")
            now = sender._replace(caller=Caller(key.name, key.role), key=key)
        set_sender(asked, now)
        self.permit(asked, operation, fields)

    def holder_of(self, asked: Request) -> str | None:
        """Who counts as one where each may hold a part only; None on an open server, where nobody is told apart."""
        return None if self.is_open else _named(asked, sender_of(asked).caller)

    def try_secret(self, asked: Request, secret: str) -> Key | None:
        """The key with this secret, which came from where the request comes from. Raises TooManyTries."""
        return self._tries.look_up(asked.remote_addr or "", secret)

    def _identified(self, asked: Request) -> Sender | None:
        kind, _, secret = asked.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.lower() != "bearer":
            return self._identified_by_session() if "HTTP_COOKIE" in asked.environ else None
        key = self.try_secret(asked, secret.strip())
        if key is None:
            message = "The key in the Authorization header is not known here: `dev.py key list` names all"
            raise _unauthenticated(message)
        return Sender(Caller(key.name, key.role), Way.BEARER, key)

    def _identified_by_session(self) -> Sender | None:
        held = session.held_session()
        key = self._key_of(held) if held is not None else None
        return Sender(Caller(key.name, key.role), Way.SESSION, key, held) if key is not None else None

    def _key_of(self, held: session.Held) -> Key | None:
        key = self.keys.named(held.name) if self.ended.lasts(held) else None
        return key if key is not None and key.fingerprint == held.mark else None

    def _count(self, asked: Request, caller: Caller) -> None:
        assert self._rate is not None
        who = _named(asked, caller)
        if seconds := self._rate.seconds_to_wait(who):
            message = f"More requests than {self._rate.text} came from the {who}: try again in {seconds} s"
            raise HttpRefusal(429, message, "RATE_LIMITED", (("Retry-After", str(seconds)),))


def install(access: AccessControl, app: Flask) -> None:
    """Let ``may`` and ``sign_in`` find the access control of the application."""
    app.extensions[_EXTENSION] = access


def may(name: str) -> bool:
    """Whether the caller of this request may use what the table of roles has under this name, such as "Query.queue".

    A route stands under its method and rule, "POST /api/entries". Raises KeyError for what is not in the table.
    """
    access: AccessControl = current_app.extensions[_EXTENSION]
    return current_caller().role >= access.table.of_name(name)


def can_sign_in() -> bool:
    """Whether there are keys to sign in with, and the caller of this request has shown none."""
    access: AccessControl = current_app.extensions[_EXTENSION]
    return access.keys.had_keys and current_caller().name is None


def sign_in(secret: str) -> Caller | None:
    """Begin a new session of the browser with the key that has this secret; None if there is no such key.

    Raises TooManyTries when too many wrong ones came from this address.
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
    """Refuse names that are not this machine's own: a page elsewhere could let its name lead here (DNS rebinding).

    Only browsers need this, and they always send a Host. An open server has no proxies but its own, which pass the Host
    on, so the header is the one that came over the wire: what is forwarded is not looked at.
    """
    if header and not _is_own_name(header):
        raise HttpRefusal(
            421,
            f"This server is open to its own machine, and not under the name {header[:100]!r}: ask for localhost or "
            "127.0.0.1. For others, make a key with `dev.py key add`, or set ALLOW_ANONYMOUS",
            "MISDIRECTED_REQUEST",
        )


@lru_cache(maxsize=256)
def _is_own_name(header: str) -> bool:
    host, _, port = header.rpartition(":")
    return is_loopback(host) if host and port.isdigit() else is_loopback(header)


def _needs_token(asked: Request, sender: Sender) -> bool:
    """A browser sends the cookie along whichever page made it send the request, and an open server needs none."""
    if sender.way is Way.NONE:
        return (asked.endpoint or "").startswith(CONSOLE)
    return sender.way is Way.SESSION


def _named(asked: Request, caller: Caller) -> str:
    """Whose requests are counted together."""
    return f"address {place_of(asked.remote_addr or '')}" if caller.name is None else f"key {caller.name}"


def _unauthenticated(message: str) -> HttpRefusal:
    return HttpRefusal(401, message, "UNAUTHENTICATED", (("WWW-Authenticate", "Bearer"),))


def _wrong_token() -> HttpRefusal:
    return HttpRefusal(
        403,
        f"The request carries no token of this session, or a wrong one: load the page again. A program sends "
        f"the header {session.TOKEN_HEADER}, or a key as `Authorization: Bearer KEY` and no cookie",
        "CSRF_TOKEN_WRONG",
    )


def _not_enough(caller: Caller, needed: Role, what: str) -> HttpRefusal:
    if caller.name is None:
        return _unauthenticated(
            f"{what} needs the role {needed.word}, and this request came without a key: "
            "send `Authorization: Bearer KEY`, or sign in"
        )
    message = f"{what} needs the role {needed.word}, and the key {caller.name} has {caller.role.word}: use another key"
    return HttpRefusal(403, message, "FORBIDDEN")
