"""The headers that every answer carries, so that browsers keep our pages from what is not ours."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flask import request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_DIRECTIVES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
_FIXED = ("script-src", "default-src", "frame-ancestors", "base-uri")
_NO_PAGE = "default-src 'none'; frame-ancestors 'none'"
_MORE = "afterwrite.more_sources"
_ALWAYS = (
    ("Referrer-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
)


def allow_more(directive: str, sources: str) -> None:
    """Let the page of this request use more sources, such as ``"img-src", "http: https:"``.

    Raises ValueError for a directive that stays as it is everywhere; scripts come from our own files only.
    """
    if directive not in _DIRECTIVES or directive in _FIXED:
        raise ValueError(f"{directive} is the same for every page")
    environ = request.environ
    environ[_MORE] = (*environ.get(_MORE, ()), (directive, sources))


def with_headers(application: "WSGIApplication") -> "WSGIApplication":
    """The application with our headers on every answer; those that an answer has already stay as they are.

    Around Flask and not in it, because it costs a tenth there of what it does as ``after_request``.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], object]:
            if not status.startswith(
                "304"
            ):  # its headers would take the place of those of the page that is kept
                _complete(headers, environ)
            return start_response(status, headers, *more)

        return application(environ, start)

    return answer


def _complete(headers: list[tuple[str, str]], environ: "WSGIEnvironment") -> None:
    policy, has_type_options = _NO_PAGE, False
    for name, value in headers:
        if name == "Content-Type":
            if value.startswith("text/html"):
                policy = page_policy(environ.get(_MORE, ()))
        elif name == "X-Content-Type-Options":
            has_type_options = True
    headers += _ALWAYS
    headers.append(("Content-Security-Policy", policy))
    if not has_type_options:
        headers.append(("X-Content-Type-Options", "nosniff"))


@lru_cache(maxsize=32)
def page_policy(more: tuple[tuple[str, str], ...] = ()) -> str:
    """The policy of a page: https://www.w3.org/TR/CSP3/."""
    directives = dict(_DIRECTIVES)
    for name, sources in more:
        directives[name] = f"{directives[name]} {sources}"
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())
