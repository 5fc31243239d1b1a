"""Huey's consumer: `python -m bench.huey_consumer FILE TELL...` runs no-op tasks until SIGINT.

For each TELL that is a number, it prints that number once so many tasks have ended. If TELL is `starts`, it prints the
time (seconds since 1970) whenever the handler of a task starts.
"""

import itertools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from huey.signals import SIGNAL_COMPLETE  # type: ignore[import-untyped]

from bench.huey_queue import open_huey
from bench.noop_workers import nothing

WORKERS = 1  # the default, and the fastest for no-op tasks: more threads contend


def main(arguments: Sequence[str]) -> None:
    """Run tasks as huey_consumer does by default, without periodic tasks."""
    path, tells = Path(arguments[0]), arguments[1:]
    huey, _ = open_huey(path, _tell_start if "starts" in tells else nothing)
    counts = {int(tell) for tell in tells if tell.isdigit()}
    huey.signal(SIGNAL_COMPLETE)(_teller(counts))
    huey.create_consumer(workers=WORKERS, worker_type="thread", periodic=False).run()


def _tell_start() -> None:
    print(time.time(), flush=True)


def _teller(counts: set[int]) -> Callable[[str, Any], None]:
    numbers = itertools.count(1)

    def tell(_signal: str, _task: Any) -> None:
        number = next(numbers)
        if number in counts:
            print(number, flush=True)

    return tell


if __name__ == "__main__":
    main(sys.argv[1:])
