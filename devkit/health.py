"""Asks a server whether it is healthy: ``python -m devkit.health [--wait SECONDS]`` exits 0 if it is."""

import argparse
import http.client
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from afterwrite.base.utf8 import use_utf8
from devkit.errors import CommandError
from devkit.place import Place, place_from_environment

PAUSE_SECONDS = 0.05


def health(
    place: Place, timeout_seconds: float = 2.0, headers: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """Return what /health answers with status 200, or None if nothing of ours answers there.

    Without a key in the `headers` a server that wants one says only whether it is well.
    """
    connection = http.client.HTTPConnection(place.local_host, place.port, timeout=timeout_seconds)
    try:
        connection.request("GET", "/health", headers=dict(headers or {}))
        answer = connection.getresponse()
        found = json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return found if isinstance(found, dict) and "status" in found else None


def wait_until_healthy(place: Place, limit_seconds: float, alive: Callable[[], bool] = lambda: True) -> bool:
    """Return True once /health answers; False when the time is up or `alive` says no."""
    until = time.monotonic() + limit_seconds
    while True:
        lives = alive()  # asked first, so that an answer of a server that has just died counts for nothing
        if lives and health(place) is not None:
            return True
        if not lives or time.monotonic() >= until:
            return False
        time.sleep(PAUSE_SECONDS)


def main(arguments: list[str]) -> int:
    """Run the check of the container; print one line if the server is not healthy."""
    parser = argparse.ArgumentParser(prog="python -m devkit.health", description=__doc__)
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="how long to wait for an answer"
    )
    options = parser.parse_args(arguments)
    try:
        place = place_from_environment()
    except CommandError as error:
        sys.exit(str(error))
    if wait_until_healthy(place, options.wait):
        return 0
    sys.stderr.write(f"{place.url}/health did not answer within {options.wait:g} s: look at the log\n")
    return 1


if __name__ == "__main__":
    use_utf8()
    sys.exit(main(sys.argv[1:]))
