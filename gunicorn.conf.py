"""Sets gunicorn up for one owner of the journal: one process, many threads."""

import os
import signal
import threading

import app
from settings import from_environment

_settings = from_environment()

bind = f"{_settings.host}:{_settings.port}"
worker_class = "gthread"
workers = 1  # the journal has one owner
threads = _settings.threads
timeout = 0  # a thread that waits for a write is no hung worker
graceful_timeout = _settings.stop_seconds + 10
keepalive = 75
backlog = 1024
control_socket_disable = True  # it would be written into the home folder
accesslog = None
loglevel = "warning"

# The worker's end of it can be read when the main process, however it ended, lets go of the other end.
_main_process = os.pipe()


def post_fork(_server: object, _worker: object) -> None:
    """End with the main process: nobody could stop this one any more, and it owns the journal."""
    os.close(_main_process[1])
    threading.Thread(target=_stop_with_main_process, name="parent-watch", daemon=True).start()


def _stop_with_main_process() -> None:
    os.read(_main_process[0], 1)
    os.kill(os.getpid(), signal.SIGTERM)


def worker_exit(_server: object, _worker: object) -> None:
    """Drain after the last request, before the process ends."""
    app.stop()
