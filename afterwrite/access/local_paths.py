"""Keeps a browser at home: where it is sent back to after it signed in is a path of ours."""

from urllib.parse import urlsplit


def local_path(url: str | None) -> str:
    """Path and query of a URL; ``/`` for whatever could lead elsewhere."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return "/"
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    # Browsers take // and /\\ for the beginning of a host, and leave control characters out.
    is_safe = path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable()
    return path if is_safe else "/"
