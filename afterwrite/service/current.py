"""Finds the context of the code that runs: that of its Flask request, of its process, or of PostgreSQL."""

import atexit
import threading
from typing import TYPE_CHECKING

from flask import current_app, has_request_context

from afterwrite.base.settings import from_environment
from afterwrite.service.context import Context

if TYPE_CHECKING:
    from afterwrite.service.process import Process

EXTENSION = "afterwrite"  # where a Flask application keeps the function that gives the context of its request
_running: "list[Process]" = []
_opening = threading.Lock()


class WrongProcess(Exception):
    """The data belongs to another process; the text says which, and how to reach it."""


def add(process: "Process") -> None:
    """Let code outside of requests write through this process."""
    _running.append(process)


def remove(process: "Process") -> None:
    """Undo ``add``; nothing where it was not added."""
    if process in _running:
        _running.remove(process)


def current_context() -> Context:
    """The context of the Flask request at hand, else of the process, with no caller.

    With DATABASE_URL a process without one opens PostgreSQL once, to accept writes and tasks. Raises WrongProcess in
    any other, and StoreError or SettingsError where PostgreSQL cannot be opened.
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
    process = Process(settings, "client", stack_parts=())
    process.start()
    atexit.register(process.stop)
