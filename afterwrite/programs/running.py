"""Runs a background program until SIGTERM or SIGINT: sets up logs, starts and stops it."""

import signal
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from afterwrite.base.logs import check_log_file, set_up_logs
from afterwrite.base.settings import Settings, SettingsError, from_environment
from afterwrite.base.store_errors import StoreError


class Program(Protocol):
    """A program that runs between ``start`` and ``stop``."""

    def start(self) -> None:
        """Start; return when it runs."""

    def stop(self) -> None:
        """Stop; return when nothing runs any more."""


def run_until_signal(make: Callable[[Settings], Program]) -> int:
    """Run the program that ``make`` returns until SIGTERM or SIGINT; return the exit code.

    A StoreError or SettingsError at the start is printed in one line.
    """
    stopped = threading.Event()
    try:
        settings = from_environment()
        check_log_file(settings)
        set_up_logs(settings)
        program = make(settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        program.start()
    except (SettingsError, StoreError) as error:
        sys.stderr.write(f"afterwrite: {error}\n")
        return 1
    stopped.wait()
    program.stop()
    return 0
