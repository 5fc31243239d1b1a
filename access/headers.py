"""The headers that every answer carries, so that browsers keep our pages from what is not ours."""

from functools import lru_cache

from flask import Response, g

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
_ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
)


def allow_more(directive: str, sources: str) -> None:
    """Let the page of this request use more sources, such as ``"img-src", "http: https:"``.

    Raises ValueError for a directive that stays as it is everywhere; scripts come from our own files only.
    """
    if directive not in _DIRECTIVES or directive in _FIXED:
        raise ValueError(f"{directive} is the same for every page")
    g.more_sources = (*g.get("more_sources", ()), (directive, sources))


def add_headers(answer: Response) -> Response:
    """The answer with the headers; those that it has already stay as they are."""
    headers = answer.headers
    for name, value in _ALWAYS:
        if name not in headers:
            headers.add(name, value)
    if "Content-Security-Policy" not in headers:
        is_page = answer.mimetype == "text/html"
        policy = page_policy(g.get("more_sources", ())) if is_page else _NO_PAGE
        headers.add("Content-Security-Policy", policy)
    return answer


@lru_cache(maxsize=32)
def page_policy(more: tuple[tuple[str, str], ...] = ()) -> str:
    """The policy of a page: https://www.w3.org/TR/CSP3/."""
    directives = dict(_DIRECTIVES)
    for name, sources in more:
        directives[name] = f"{directives[name]} {sources}"
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())
