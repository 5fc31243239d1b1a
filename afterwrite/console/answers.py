"""Makes the console's answers: pages, what became of an action, and 304 for what the browser shows already."""

import hashlib
import json
import secrets
from collections.abc import Callable
from typing import Any

from flask import Response, redirect, render_template, request, url_for

from afterwrite.access.caller import current_caller
from afterwrite.access.session import csrf_token

_DIALOG = "div#dialog-content"  # how htmx names the place for which it asks, see base.html
_RUN = secrets.token_hex(8)  # another process may make other pages of the same data


def page(template: str, status: int = 200, **values: Any) -> Response:
    """The page, or only its content where it is asked for in the dialog; 304 if the browser has this very page."""
    frame = "dialog.html" if in_dialog() else "page.html"
    body = render_template(template, frame=frame, **values).encode()
    # A form that comes back in the dialog is no failure of the page, as which a browser's console would log it.
    shown_status = 200 if in_dialog() and status == 422 else status
    answer = Response(body, shown_status, content_type="text/html; charset=utf-8")
    if status != 200 or in_dialog():
        answer.headers["Cache-Control"] = "no-store"
        return answer
    return _kept(answer, hashlib.sha256(body).hexdigest())


def page_of(version: object, make: Callable[[], Response]) -> Response:
    """What ``make`` answers, or 304 without making it while ``version`` is the one that the browser has.

    ``version`` is equal for two moments only if the data of the page is.
    """
    if in_dialog():
        return make()
    seen = (_RUN, request.full_path, current_caller(), csrf_token(), version)
    tag = hashlib.sha256(repr(seen).encode()).hexdigest()
    if tag in request.if_none_match:
        return _kept(Response(status=304), tag)
    answer = make()
    return _kept(answer, tag) if answer.status_code == 200 else answer


def done(message: str, back: str, *, warning: bool = False) -> Response:
    """What an action that shows nothing of its own answers: a message, and the lists on the page look again.

    Without scripts the browser goes on to ``back``.
    """
    if not is_htmx():
        return _gone_to(back)
    events = {"toast": {"text": message, "kind": "warning" if warning else "done"}, "changed": True}
    return Response(status=204, headers={"HX-Trigger": json.dumps(events)})


def refused(message: str, status: int) -> Response:
    """What a request that was refused shows: a message over the page, or a page that says it."""
    if is_htmx():
        events = {"toast": {"text": message, "kind": "error"}}
        return Response(status=status, headers={"HX-Reswap": "none", "HX-Trigger": json.dumps(events)})
    title = "Page not found" if status == 404 else "Something went wrong"
    return page("refused.html", status, title=title, message=message)


def is_htmx() -> bool:
    """Whether a script of the page asks, and not the browser for a whole page."""
    return "HX-Request" in request.headers


def in_dialog() -> bool:
    """Whether the answer is shown in the page's dialog."""
    return request.headers.get("HX-Target") == _DIALOG


def _kept(answer: Response, tag: str) -> Response:
    answer.set_etag(tag)
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["Vary"] = "Cookie, HX-Target"
    if answer.status_code == 200 and tag in request.if_none_match:
        answer.status_code = 304
        answer.set_data(b"")
    return answer


def _gone_to(back: str) -> Response:
    answer = redirect(back if back.startswith("/") else url_for("console.overview"), 303)
    assert isinstance(answer, Response)
    return answer
