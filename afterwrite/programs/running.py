"""Runs a program of the project that serves no pages: sets the log up, starts it, stops it when the system says so."""

import signal
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from afterwrite.base.logs import check_log_file, set_up_logs
from afterwrite.base.settings import Settings, SettingsError, from_environment
from afterwrite.base.store_errors import StoreError


class Program(Protocol):
    """What runs between ``start`` and ``stop``."""

    def start(self) -> None:
        """Begin; returns when it runs."""

    def stop(self) -> None:
        """Come to an end; returns when nothing runs any more."""


def run_until_told(make: Callable[[Settings], Program]) -> int:
    """Run what ``make`` makes of the settings until SIGTERM or SIGINT; returns the exit code.

    A StoreError or SettingsError of its making ends it with one line.
    """
    told = threading.Event()
    try:
        settings = from_environment()
        check_log_file(settings)
        set_up_logs(settings)
        program = make(settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: told.set())
        program.start()
    except (SettingsError, StoreError) as error:
        sys.stderr.write(f"afterwrite: {error}\n")
        return 1
    told.wait()
    program.stop()
    return 0
