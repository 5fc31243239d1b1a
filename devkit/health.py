"""Health check of a server: ``python -m devkit.health [--wait SECONDS]`` exits 0 if it is healthy."""

import argparse
import http.client
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from devkit.errors import run
from devkit.place import Place, place_from_environment

PAUSE_SECONDS = 0.05


def health(
    place: Place, timeout_seconds: float = 2.0, headers: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """Return the JSON of /health if its status is 200, or None.

    Without a key in the `headers`, a server that requires one answers with its status and version only.
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
    """Poll /health; return True once it answers, False on timeout or if `alive` returns False."""
    until = time.monotonic() + limit_seconds
    while True:
        lives = alive()  # checked first, to ignore the answer of a server that has just died
        if lives and health(place) is not None:
            return True
        if not lives or time.monotonic() >= until:
            return False
        time.sleep(PAUSE_SECONDS)


def main(arguments: list[str]) -> int:
    """Run the container's health check; print one line if it fails."""
    parser = argparse.ArgumentParser(prog="python -m devkit.health", description=__doc__)
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="how long to wait for an answer")
    options = parser.parse_args(arguments)
    place = place_from_environment()
    if wait_until_healthy(place, options.wait):
        return 0
    sys.stderr.write(f"{place.url}/health did not answer within {options.wait:g} s: see the log\n")
    return 1


if __name__ == "__main__":
    run(main)
