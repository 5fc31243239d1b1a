"""HTTP responses of the console: pages with ETags, results of actions, and errors."""

import hashlib
import json
import secrets
from collections.abc import Callable
from typing import Any

from flask import Response, redirect, render_template, request

from afterwrite.access.caller import current_caller
from afterwrite.access.session import csrf_token

_DIALOG = "div#dialog-content"  # the HX-Target header of the dialog, see base.html
_RUN = secrets.token_hex(8)  # in every ETag: another process may render other pages of the same data


def page(template: str, status: int = 200, *, replaced_by: str | None = None, **values: Any) -> Response:
    """The page, or only its content for the dialog; 304 if the browser has the same page.

    ``replaced_by`` is the template that an application may have in place of ours.
    """
    frame = "console/dialog.html" if in_dialog() else "console/page.html"
    body = render_template([*filter(None, [replaced_by]), f"console/{template}"], frame=frame, **values).encode()
    # 200 for a form with errors in the dialog: a browser's console would log 422 as a failed request.
    sent_status = 200 if in_dialog() and status == 422 else status
    answer = Response(body, sent_status, content_type="text/html; charset=utf-8")
    if status != 200 or in_dialog():
        answer.headers["Cache-Control"] = "no-store"
        return answer
    return _with_etag(answer, hashlib.sha256(body).hexdigest())


def page_of(version: object, make: Callable[[], Response]) -> Response:
    """The response of ``make``, or 304 without calling it if the browser has the page of this ``version``.

    ``version`` must change whenever the data of the page changes.
    """
    if in_dialog():
        return make()
    seen = (_RUN, request.full_path, current_caller(), csrf_token(), version)
    tag = hashlib.sha256(repr(seen).encode()).hexdigest()
    if tag in request.if_none_match:
        return _with_etag(Response(status=304), tag)
    answer = make()
    return _with_etag(answer, tag) if answer.status_code == 200 else answer


def done(message: str, back: str, *, warning: bool = False) -> Response:
    """The response to an action without a page of its own: a toast, and an event that refreshes the page's lists.

    Without scripts the browser is redirected to ``back``.
    """
    if not is_htmx():
        return redirect_to(back)
    events = {"toast": {"text": message, "kind": "warning" if warning else "done"}, "changed": True}
    return Response(status=204, headers={"HX-Trigger": json.dumps(events)})


def refused(message: str, status: int) -> Response:
    """The response to a refused request: a toast over the page, or a page with the message."""
    if is_htmx():
        events = {"toast": {"text": message, "kind": "error"}}
        return Response(status=status, headers={"HX-Reswap": "none", "HX-Trigger": json.dumps(events)})
    title = "Page not found" if status == 404 else "Something went wrong"
    return page("refused.html", status, title=title, message=message)


def redirect_to(path: str) -> Response:
    """The response that sends a browser to a page after its form."""
    answer = redirect(path, 303)
    assert isinstance(answer, Response)
    return answer


def is_htmx() -> bool:
    """Whether htmx sent the request."""
    return "HX-Request" in request.headers


def in_dialog() -> bool:
    """Whether the response goes into the page's dialog."""
    return request.headers.get("HX-Target") == _DIALOG


def _with_etag(answer: Response, tag: str) -> Response:
    answer.set_etag(tag)
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["Vary"] = "Cookie, HX-Target"
    if answer.status_code == 200 and tag in request.if_none_match:
        answer.status_code = 304
        answer.set_data(b"")
    return answer
