"""Shows the key of the environment variable API_KEY to the server, and says what to do when that is not enough."""

import json
import os

from devkit.errors import CommandError


def authorization() -> dict[str, str]:
    """The header that shows API_KEY; none if it is not set."""
    secret = os.environ.get("API_KEY", "").strip()
    return {"Authorization": f"Bearer {secret}"} if secret else {}


def refusal(url: str, status: int, body: bytes) -> CommandError:
    """What to say when the server refuses the key, or wants one."""
    try:
        said = str(json.loads(body)["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        said = body[:200].decode("utf-8", "replace")
    has_key = bool(authorization())
    advice = "put another key into API_KEY" if has_key else "put a key into the environment variable API_KEY"
    return CommandError(
        f"{url} answered {status}: {said}. If this is your server, {advice}; `key add` makes one"
    )
