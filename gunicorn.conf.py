"""Sets gunicorn up for one owner of the journal: one process, many threads."""

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


def worker_exit(_server: object, _worker: object) -> None:
    """Drain after the last request, before the process ends."""
    app.stop()
