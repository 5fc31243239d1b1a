"""Finds the current context: of the Flask request, of the process, or of a new PostgreSQL connection."""

import atexit
import threading
from typing import TYPE_CHECKING

from flask import current_app, has_request_context

from afterwrite.base.settings import from_environment
from afterwrite.service.context import Context

if TYPE_CHECKING:
    from afterwrite.service.process import Process

EXTENSION = "afterwrite"  # the key of the Flask extension: a function that returns the context of the current request
_running: "list[Process]" = []
_opening = threading.Lock()


class WrongProcess(Exception):
    """Another process owns the data; the text says which one and how to reach it."""


def add(process: "Process") -> None:
    """Make this process current for code outside of requests."""
    _running.append(process)


def remove(process: "Process") -> None:
    """Undo ``add``; does nothing without it."""
    if process in _running:
        _running.remove(process)


def current_context() -> Context:
    """The context of the current Flask request, or else of the process, without a caller.

    In a process without one, DATABASE_URL opens PostgreSQL once, to accept writes and tasks. Raises WrongProcess
    without DATABASE_URL, and StoreError or SettingsError if PostgreSQL cannot be opened.
    """
    if has_request_context() and (of_request := current_app.extensions.get(EXTENSION)):
        context: Context = of_request()
        return context
    with _opening:
        if not _running:
            _open_postgres()
        return _running[-1].context()


def _open_postgres() -> None:
    from afterwrite.service.process import Process

    settings = from_environment()
    if not settings.database_url:
        raise WrongProcess(
            f"The server owns the journal in {settings.data_dir}: write through its API at "
            f"http://{settings.host}:{settings.port}/graphql, or set DATABASE_URL to share PostgreSQL with it"
        )
    process = Process(settings, None, "client", stack_parts=())
    process.start()
    atexit.register(process.stop)
