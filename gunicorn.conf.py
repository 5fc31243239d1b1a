"""Sets gunicorn up for one owner of the journal: one process, many threads."""

import json
import os
import signal
import socket
import threading
import time
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

import gunicorn.http.wsgi
import gunicorn.util
import gunicorn.workers.gthread

import app
from access.opening import is_loopback
from access.start import check_access
from settings import SettingsError, from_environment

_settings = from_environment()

bind = f"{_settings.host}:{_settings.port}"
worker_class = "gthread"
workers = 1  # the journal has one owner
threads = _settings.threads
timeout = 0  # a thread that waits for a write is no hung worker
graceful_timeout = _settings.longest_stop_seconds + 10
keepalive = 75
backlog = 1024
control_socket_disable = True  # it would be written into the home folder
forwarded_allow_ips = ""  # PROXIES says who is believed
accesslog = None
loglevel = "warning"

# The worker's end of it can be read when the main process, however it ended, lets go of the other end.
_main_process = os.pipe()


def on_starting(server: Any) -> None:
    """Refuse the start where GUNICORN_CMD_ARGS bind it to more than HOST, as HOST itself would be refused.

    Raises SystemExit with one line.
    """
    for address in server.cfg.address:
        # A socket in the file system is there for a proxy, which leads others here.
        host = address[0] if isinstance(address, tuple) else f"unix:{address}"
        try:
            check_access(replace(_settings, host=host))
        except SettingsError as error:
            raise SystemExit(f"afterwrite: {error}") from error
        # The process that serves asks again, also when it was started anew after the keys have gone.
        if not is_loopback(host):
            os.environ["HOST"] = host


def post_fork(server: Any, worker: Any) -> None:
    """Hear a stop from the beginning, and end with the main process: nobody could stop this one without it.

    Until gunicorn sets its own handlers, those of the main process are at work here too, and put signals into a queue
    that nobody reads: the main process would wait for ``graceful_timeout``, and kill this one.
    """

    def stop(*_: object) -> None:
        worker.alive = False

    signal.signal(signal.SIGTERM, stop)
    while not server.SIG_QUEUE.empty():
        if server.SIG_QUEUE.get_nowait() == signal.SIGTERM:
            stop()
    os.close(_main_process[1])
    threading.Thread(target=_stop_with_main_process, name="parent-watch", daemon=True).start()


def _stop_with_main_process() -> None:
    os.read(_main_process[0], 1)
    os.kill(os.getpid(), signal.SIGTERM)


def post_worker_init(worker: Any) -> None:
    """Let event streams end at SIGTERM, and silent connections: gunicorn waits for them. Answer bad HTTP in JSON."""
    handler = signal.getsignal(signal.SIGTERM)

    def announce_and_stop(number: int, frame: FrameType | None) -> None:
        app.announce_stop()
        _give_up_silent_connections(worker)
        if callable(handler):
            handler(number, frame)

    signal.signal(signal.SIGTERM, announce_and_stop)
    gunicorn.util.write_error = _write_error
    _close_where_the_application_says_so()
    _wait_for_no_stranger()


def _give_up_silent_connections(worker: Any) -> None:
    """Browsers open connections before they need them; gunicorn would wait for one to speak until it kills itself."""
    for connection in worker.pending_conns:
        connection.timeout = min(connection.timeout, time.monotonic())


def _wait_for_no_stranger() -> None:
    """Let few and short waits be for the rest of a body whose request was answered without it.

    gunicorn waits 5 s in the request's thread and 2 s in the one thread that accepts: a few dozen strangers would stop
    the server. What has come by then is read, so that closing does not cut the answer off.
    """
    gunicorn.workers.gthread.DEFAULT_WORKER_DATA_TIMEOUT = 0.5
    gunicorn.util.close_graceful = partial(gunicorn.util.close_graceful, timeout=0.001)


def _close_where_the_application_says_so() -> None:
    """Let an answer with ``Connection: close`` close: gunicorn drops the header, and says that it keeps alive."""
    process_headers = gunicorn.http.wsgi.Response.process_headers

    def process(response: Any, headers: list[tuple[str, str]]) -> None:
        process_headers(response, headers)
        if ("Connection", "close") in headers:
            response.force_close()

    gunicorn.http.wsgi.Response.process_headers = process


def _write_error(client: socket.socket, status: int, reason: str, message: str) -> None:
    """What gunicorn itself refuses, as one of our errors."""
    error = {"message": f"{reason}: {message}"[:500], "extensions": {"code": "BAD_REQUEST"}}
    body = json.dumps({"errors": [error]})
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1", "replace"))


def worker_exit(_server: object, _worker: object) -> None:
    """Drain after the last request, before the process ends."""
    app.stop()
