"""A webhook receiver: `python -m bench.stack.webhook_receiver PORT` counts events (see ``bench.many.counters``)."""

import json
import sys
from collections.abc import Callable, Sequence

from bench.many.counters import counter
from bench.stack.http_answers import Answer, serve


def receiver(count: Callable[[], None]) -> Answer:
    """The request handler; calls ``count`` for each new event."""
    known: set[str] = set()

    def answer(method: str, _path: str, body: bytes) -> tuple[int, bytes]:
        if method == "POST":
            event_id = json.loads(body)["event_id"]
            if event_id not in known:
                known.add(event_id)
                count()
        return 200, b""

    return answer


def main(arguments: Sequence[str]) -> None:
    """Serve until SIGTERM."""
    serve(int(arguments[0]), receiver(counter()))


if __name__ == "__main__":
    main(sys.argv[1:])
