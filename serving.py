"""Runs the application under Granian or gunicorn, one server process, until it is told to stop."""

import logging
import multiprocessing
import os
import sys
import threading
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from settings import Settings

_log = logging.getLogger("afterwrite.server")
_ROOT = Path(__file__).parent
_BACKLOG = 1024


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; returns after the drain. Raises SystemExit when the server fails."""
    if settings.server == "gunicorn":
        _serve_with_gunicorn(settings)
    else:
        _serve_with_granian(settings)


def _serve_with_granian(settings: Settings) -> None:
    from granian.constants import Interfaces
    from granian.server import Server

    server = Server(
        "app:wsgi",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=1,  # the journal has one owner
        blocking_threads=settings.threads,
        backlog=_BACKLOG,
        backpressure=_BACKLOG,
        working_dir=_ROOT,
        respawn_failed_workers=True,
        workers_kill_timeout=settings.stop_seconds + 10,
        log_enabled=False,
    )
    server.serve(spawn_target=_granian_worker)


def _granian_worker(*arguments: Any, **options: Any) -> None:
    """Granian's own worker; what it leaves undone at its end is done here, since no atexit runs there."""
    from granian.server.mp import MPServer

    _stop_with_parent()
    try:
        MPServer._spawn_wsgi_worker(*arguments, **options)
    finally:
        import app

        app.stop()


def _stop_with_parent() -> None:
    """End this process when its parent is gone: nobody could stop it any more, and it owns the journal."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        _log.error("the server's main process is gone: stopping")
        import app

        app.stop()
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _serve_with_gunicorn(settings: Settings) -> None:
    command = [sys.executable, "-m", "gunicorn", "--config", str(_ROOT / "gunicorn.conf.py"), "app:wsgi()"]
    if sys.platform == "win32":
        raise SystemExit("SERVER=gunicorn does not run on Windows: use SERVER=granian")
    os.chdir(_ROOT)
    os.execv(sys.executable, command)  # gunicorn's main process takes this one's place, and its signals
