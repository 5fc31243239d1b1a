"""Reads the bodies that nobody sends, so few at a time that slow ones leave threads for everybody else.

No HTTP server limits how long a body may take, and the thread that reads one waits for its end. Whoever has a key may
hold threads; strangers may hold some.
"""

from io import BytesIO

from flask import Request

from access.at_once import AtOnce
from access.refusal import Refused
from access.session import FORM_TYPES
from access.slowing import place_of
from graphql_http.body import BodyBroken, BodyTooLong, read_body
from settings import Settings

_RETRY_AFTER_SECONDS = 2


class BodiesOfNobody:
    """Reads bodies whole, before anything is done with them; may be used from any number of threads."""

    def __init__(self, settings: Settings) -> None:
        """Of the threads that waiting requests and event streams leave, strangers get about seven in eight.

        Webhooks get more of them, because one server sends many at a time; forms keep theirs, so that people can
        sign in meanwhile, and one address gets half of those.
        """
        left = settings.threads - settings.max_waiters - settings.max_streams
        webhooks, forms = max(1, left * 5 // 8), max(1, left // 4)
        self._webhooks = AtOnce(webhooks, webhooks)
        self._forms = AtOnce(forms, max(1, forms // 2))

    def read(self, asked: Request) -> None:
        """Read the body, up to ``max_content_length``; who looks at it afterwards need not wait.

        Raises Refused where too many are being read, and for a body that did not come whole or is too long.
        """
        environ = asked.environ
        if environ.get("CONTENT_LENGTH") in (None, "", "0") and "HTTP_TRANSFER_ENCODING" not in environ:
            return
        places = self._forms if asked.mimetype in FORM_TYPES else self._webhooks
        who = place_of(asked.remote_addr or "")
        if not places.take(who):
            raise _busy()
        try:
            body = _whole_body(asked)
        finally:
            places.give_back(who)
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))


def _whole_body(asked: Request) -> bytes:
    limit = asked.max_content_length or 0
    try:
        return read_body(asked.environ, limit)
    except BodyTooLong as error:
        raise Refused(
            413, "BODY_TOO_LARGE", f"The body has {error}, and {limit} is the limit: send less"
        ) from error
    except BodyBroken as error:
        raise Refused(400, "BAD_REQUEST", f"{error}: send it again") from error


def _busy() -> Refused:
    message = (
        "As many requests without a key send their bodies at this moment as may, in all or from this address: "
        f"try again in {_RETRY_AFTER_SECONDS} s"
    )
    return Refused(503, "SERVER_BUSY", message, (("Retry-After", str(_RETRY_AFTER_SECONDS)),))
