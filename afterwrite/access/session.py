"""Browser sessions: a signed cookie that names a key, and the CSRF token of its forms.

The cookie holds no secret. It has the key's fingerprint, so removing or replacing a key ends its sessions.
"""

import hmac
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

from flask import Flask, Request, Response, current_app, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature

from afterwrite.access.keys import Key

TOKEN_FIELD = "csrf_token"  # noqa: S105 - the name of a field
TOKEN_HEADER = "X-CSRF-Token"  # noqa: S105 - the name of a header
FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})

_ENDED_MAX = 100_000
_CLOCK_TOLERANCE_SECONDS = 300
"""How far in the future a session may begin: clocks are set back a little, and clocks of several machines differ."""
_PORT = re.compile(r":(\d{1,5})$")


class Held(NamedTuple):
    """A session: the name of its key, the key's fingerprint, the session's id, and its start (Unix seconds)."""

    name: str
    mark: str
    id: str
    since: int


class EndedSessions:
    """The sessions that were signed out before they expired; thread-safe.

    The newest 100,000, in memory only: after a restart, a copied cookie is valid again until it expires. Processes that
    share a database notify each other through ``notify``.
    """

    def __init__(self, hours: int) -> None:
        """``hours``: the maximum age of a session."""
        self.seconds = hours * 3600
        self.notify: Callable[[str], None] = lambda _: None
        """Called with the id of a session that was signed out here; may raise StoreError."""
        self._ended_at: OrderedDict[str, float] = OrderedDict()
        self._turn = threading.Lock()

    @property
    def remembered(self) -> int:
        """The number of sessions remembered."""
        return len(self._ended_at)

    def end(self, session_id: str) -> None:
        """Revoke the session, here and in every other process. Raises StoreError."""
        self.add(session_id)
        self.notify(session_id)

    def add(self, session_id: str) -> None:
        """Revoke the session in this process."""
        now = time.monotonic()  # setting the clock must not forget it early
        oldest = now - self.seconds - _CLOCK_TOLERANCE_SECONDS
        with self._turn:
            self._ended_at[session_id] = now
            while len(self._ended_at) > _ENDED_MAX or next(iter(self._ended_at.values())) < oldest:
                self._ended_at.popitem(last=False)

    def lasts(self, held: Held) -> bool:
        """Whether the session has not expired and was not signed out."""
        age = time.time() - held.since
        return -_CLOCK_TOLERANCE_SECONDS <= age < self.seconds and held.id not in self._ended_at


class Sessions(SecureCookieSessionInterface):
    """Flask's sessions, cheaper for requests without a cookie, with one cookie per port."""

    def __init__(self, ended: EndedSessions) -> None:
        """``ended`` takes the sessions that are signed out."""
        self.ended = ended

    digest_method = staticmethod(sha256)

    def get_cookie_name(self, app: Flask) -> str:
        """Named by the port as the browser sees it: cookies ignore ports, and two servers may share a host."""
        found = _PORT.search(request.environ.get("HTTP_HOST", ""))
        return f"afterwrite_{found[1]}" if found else "afterwrite"

    def get_cookie_secure(self, app: Flask) -> bool:
        """Secure if the request came over https."""
        return request.is_secure

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The session of the request; a new one without a cookie or with an invalid signature.

        ``EndedSessions.lasts`` checks the age: the signature's own age would end every session when the clock is set
        back by a second.
        """
        if "HTTP_COOKIE" not in request.environ:
            return self.session_class()
        serializer = self.get_signing_serializer(app)
        assert serializer is not None  # use_sessions gave it a secret
        try:
            return self.session_class(serializer.loads(request.cookies.get(self.get_cookie_name(app), "")))
        except BadSignature:
            return self.session_class()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set or delete the cookie if the session changed."""
        if session.accessed:
            super().save_session(app, session, response)


def use_sessions(app: Flask, secret: str, hours: int, ended: EndedSessions) -> None:
    """Configure the application's sessions, signed with this secret."""
    app.secret_key = secret
    app.session_interface = Sessions(ended)
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=hours * 3600,
    )


def begin_session(key: Key) -> None:
    """Sign in with this key, in a new session with a new CSRF token."""
    sign_out()
    session.permanent = True
    session.update(key=key.name, mark=key.fingerprint, id=secrets.token_urlsafe(16), since=int(time.time()))


def sign_out() -> None:
    """End the browser's session: delete the cookie, and revoke copies of it."""
    sessions = current_app.session_interface
    if isinstance(sessions, Sessions) and "id" in session:
        sessions.ended.end(session["id"])
    session.clear()


def held_session() -> Held | None:
    """The session of the request; None if it is anonymous."""
    if "HTTP_COOKIE" not in request.environ or "id" not in session:
        return None
    return Held(session["key"], session["mark"], session["id"], session["since"])


def csrf_token() -> str:
    """The token that each form of this session must carry, as the field ``csrf_token`` or the header ``X-CSRF-Token``.

    Every session has one, signed in or not; it stays the same for the whole session.
    """
    token: str | None = session.get("csrf")
    if token is None:
        token = session["csrf"] = secrets.token_urlsafe(32)
    return token


def carries_token(asked: Request) -> bool:
    """Whether the request carries the CSRF token of its session.

    Reads the form, up to the request's size limit, unless the session has no token.
    """
    expected: Any = session.get("csrf")
    if expected is None:
        return False
    given = asked.headers.get(TOKEN_HEADER)
    if given is None and asked.mimetype in FORM_TYPES:
        given = asked.form.get(TOKEN_FIELD)
    return bool(given) and hmac.compare_digest(str(expected).encode(), str(given).encode())
