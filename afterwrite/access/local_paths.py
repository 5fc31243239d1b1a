"""Prevents open redirects after sign-in."""

from urllib.parse import urlsplit


def local_path(url: str | None) -> str:
    """The path and query of a URL; ``/`` for a URL that could lead to another host."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return "/"
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    # Browsers read // and /\\ as the start of a host, and drop control characters.
    is_safe = path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable()
    return path if is_safe else "/"
