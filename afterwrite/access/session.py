"""Keeps a browser signed in: a signed cookie that names a key, and the token that its forms must carry.

The cookie holds no secret. The key's fingerprint is in it, so a key that is removed, or made anew under the same name,
ends its sessions.
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
"""How far a session may begin in the future: clocks are set back a little, and those of several machines differ."""
_PORT = re.compile(r":(\d{1,5})$")


class Held(NamedTuple):
    """What a session says: whose key, its fingerprint, the session's own id, and when it began (Unix seconds)."""

    name: str
    mark: str
    id: str
    since: int


class EndedSessions:
    """The sessions that were signed out before their time; may be used from any number of threads.

    In memory only, and the newest 100,000: a restart lets a cookie that somebody kept count again until its hours are
    over. Where processes share a database they tell each other, through ``tell``.
    """

    def __init__(self, hours: int) -> None:
        """``hours``: how long a session lasts at the most."""
        self.seconds = hours * 3600
        self.tell: Callable[[str], None] = lambda _: None
        """Called with the id of a session that was signed out here; it may raise StoreError."""
        self._ended_at: OrderedDict[str, float] = OrderedDict()
        self._turn = threading.Lock()

    @property
    def remembered(self) -> int:
        """How many there are."""
        return len(self._ended_at)

    def end(self, session_id: str) -> None:
        """Let the session count no more, here and in every other process. Raises StoreError."""
        self.add(session_id)
        self.tell(session_id)

    def add(self, session_id: str) -> None:
        """Let the session count no more in this process."""
        now = time.monotonic()  # it lasts its hours, however the clock is set meanwhile
        oldest = now - self.seconds - _CLOCK_TOLERANCE_SECONDS
        with self._turn:
            self._ended_at[session_id] = now
            while len(self._ended_at) > _ENDED_MAX or next(iter(self._ended_at.values())) < oldest:
                self._ended_at.popitem(last=False)

    def lasts(self, held: Held) -> bool:
        """Whether the session is young enough and was not signed out."""
        age = time.time() - held.since
        return -_CLOCK_TOLERANCE_SECONDS <= age < self.seconds and held.id not in self._ended_at


class Sessions(SecureCookieSessionInterface):
    """Flask's sessions, cheaper for requests without a cookie, and apart for each port."""

    def __init__(self, ended: EndedSessions) -> None:
        """``ended``: where those go that are signed out."""
        self.ended = ended

    digest_method = staticmethod(sha256)

    def get_cookie_name(self, app: Flask) -> str:
        """Named by the port as the browser sees it: cookies do not know ports, and two servers may share a host."""
        found = _PORT.search(request.environ.get("HTTP_HOST", ""))
        return f"afterwrite_{found[1]}" if found else "afterwrite"

    def get_cookie_secure(self, app: Flask) -> bool:
        """Over https, only over https."""
        return request.is_secure

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The session of the request; a new one where it has none, or its cookie was not signed here.

        Who is signed in, and for how long, ``EndedSessions.lasts`` decides: the signature's own age would end every
        session when the clock is set back by a second.
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
        """Set or take back the cookie if something of the session changed."""
        if session.accessed:
            super().save_session(app, session, response)


def use_sessions(app: Flask, secret: str, hours: int, ended: EndedSessions) -> None:
    """Let the application keep sessions, signed with this secret."""
    app.secret_key = secret
    app.session_interface = Sessions(ended)
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=hours * 3600,
    )


def begin_session(key: Key) -> None:
    """Sign in with this key, in a new session: nothing of the one before goes on, its token neither."""
    sign_out()
    session.permanent = True
    session.update(key=key.name, mark=key.fingerprint, id=secrets.token_urlsafe(16), since=int(time.time()))


def sign_out() -> None:
    """End the session of the browser: the cookie is taken back, and counts no more where somebody kept it."""
    sessions = current_app.session_interface
    if isinstance(sessions, Sessions) and "id" in session:
        sessions.ended.end(session["id"])
    session.clear()


def held_session() -> Held | None:
    """What the session of the request says; None where nobody is signed in."""
    if "HTTP_COOKIE" not in request.environ or "id" not in session:
        return None
    return Held(session["key"], session["mark"], session["id"], session["since"])


def csrf_token() -> str:
    """The token that each form of this session must carry, as the field ``csrf_token`` or as ``X-CSRF-Token``.

    Everybody has one, signed in or not; it stays the same for the whole session.
    """
    token: str | None = session.get("csrf")
    if token is None:
        token = session["csrf"] = secrets.token_urlsafe(32)
    return token


def carries_token(asked: Request) -> bool:
    """Whether the request carries the token of its session.

    A form is read for it, up to the limit of the request, unless the session has no token at all.
    """
    expected: Any = session.get("csrf")
    if expected is None:
        return False
    given = asked.headers.get(TOKEN_HEADER)
    if given is None and asked.mimetype in FORM_TYPES:
        given = asked.form.get(TOKEN_FIELD)
    return bool(given) and hmac.compare_digest(str(expected).encode(), str(given).encode())
