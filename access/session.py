"""Keeps a browser signed in: a signed cookie that names a key, and the token that its forms must carry.

The cookie holds no secret. The key's fingerprint is in it, so a key that is removed, or made anew under the same name,
ends its sessions.
"""

import hmac
import re
import secrets
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from flask import Flask, Request, Response, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin

from access.keys import Key
from database.secret_file import kept_secret

TOKEN_FIELD = "csrf_token"  # noqa: S105 - the name of a field
TOKEN_HEADER = "X-CSRF-Token"  # noqa: S105 - the name of a header
FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})

_PORT = re.compile(r":(\d{1,5})$")


class Sessions(SecureCookieSessionInterface):
    """Flask's sessions, cheaper for requests without a cookie, and apart for each port."""

    digest_method = staticmethod(sha256)

    def get_cookie_name(self, app: Flask) -> str:
        """Named by the port as the browser sees it: cookies do not know ports, and two servers may share a host."""
        found = _PORT.search(request.environ.get("HTTP_HOST", ""))
        return f"afterwrite_{found[1]}" if found else "afterwrite"

    def get_cookie_secure(self, app: Flask) -> bool:
        """Over https, only over https."""
        return request.is_secure

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The session of the request; a new one where it has none."""
        if "HTTP_COOKIE" not in request.environ:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set or take back the cookie if something of the session changed."""
        if session.accessed:
            super().save_session(app, session, response)


def session_secret(folder: Path) -> str:
    """The secret in ``folder/session-secret`` that signs the cookies; made at the first call. Raises StoreError."""
    return kept_secret(folder / "session-secret", secrets.token_hex(32), "session secret")


def use_sessions(app: Flask, secret: str, hours: int) -> None:
    """Let the application keep sessions, signed with this secret."""
    app.secret_key = secret
    app.session_interface = Sessions()
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=hours * 3600,
    )


def begin_session(key: Key) -> None:
    """Sign in with this key, in a new session: nothing of the one before goes on, its token neither."""
    session.clear()
    session.permanent = True
    session.update(key=key.name, mark=key.fingerprint, since=int(time.time()))


def sign_out() -> None:
    """End the session of the browser: the cookie is taken back."""
    session.clear()


def signed_in_as(hours: int) -> tuple[str, str] | None:
    """The name and the fingerprint of the key in the request's session, if it is young enough."""
    if "HTTP_COOKIE" not in request.environ or "key" not in session:
        return None
    if not 0 <= time.time() - session["since"] < hours * 3600:
        return None
    return session["key"], session["mark"]


def csrf_token() -> str:
    """The token that each form of this session must carry, as the field ``csrf_token`` or as ``X-CSRF-Token``.

    Everybody has one, signed in or not; it stays the same for the whole session.
    """
    token: str | None = session.get("csrf")
    if token is None:
        token = session["csrf"] = secrets.token_urlsafe(32)
    return token


def has_token() -> bool:
    """Whether the request's session has a token at all; no form is read for that."""
    return "HTTP_COOKIE" in request.environ and "csrf" in session


def carries_token(asked: Request) -> bool:
    """Whether the request carries the token of its session; a form is read for it, up to the limit of the request."""
    expected: Any = session.get("csrf")
    if expected is None:
        return False
    given = asked.headers.get(TOKEN_HEADER)
    if given is None and asked.mimetype in FORM_TYPES:
        given = asked.form.get(TOKEN_FIELD)
    return bool(given) and hmac.compare_digest(str(expected).encode(), str(given).encode())
