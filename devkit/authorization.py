"""Authenticates the commands with the key in the environment variable API_KEY."""

import json
import os

from devkit.errors import CommandError


def authorization() -> dict[str, str]:
    """Return the Authorization header; empty if API_KEY is not set."""
    secret = os.environ.get("API_KEY", "").strip()
    return {"Authorization": f"Bearer {secret}"} if secret else {}


def refusal(url: str, status: int, body: bytes) -> CommandError:
    """Return the error for a server that rejects the key or requires one."""
    try:
        message = str(json.loads(body)["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        message = body[:200].decode("utf-8", "replace")
    has_key = bool(authorization())
    advice = "put another key into API_KEY" if has_key else "put a key into the environment variable API_KEY"
    return CommandError(f"{url} answered {status}: {message}. If this is your server, {advice}; `key add` makes one")
