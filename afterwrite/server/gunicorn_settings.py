"""gunicorn's configuration: one process, which owns the journal, with many threads."""

import json
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

import gunicorn.config
import gunicorn.http.wsgi
import gunicorn.util
import gunicorn.workers.gthread

from afterwrite.access.opening import is_loopback
from afterwrite.access.start import check_access
from afterwrite.base.settings import SettingsError, from_environment
from afterwrite.server import lifetime
from afterwrite.server.connections import CONNECTIONS_MAX, connections_max
from afterwrite.server.head_reader import HeadReader

try:
    _settings = from_environment()
except SettingsError as wrong:
    raise SystemExit(f"afterwrite: {wrong}") from wrong

bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
worker_class = HeadReader
worker_connections = connections_max()
limit_request_line = 0  # HEAD_MAX_BYTES bounds it
workers = 1  # the journal has one owner
threads = _settings.threads
timeout = 0  # a worker whose threads wait for writes is not hung
graceful_timeout = _settings.longest_stop_seconds + 10
keepalive = 75
backlog = CONNECTIONS_MAX
control_socket_disable = True  # it would be written into the home folder
forwarded_allow_ips = ""  # PROXIES decides whose headers are trusted
accesslog = None
loglevel = "warning"

# The worker reads end-of-file from it when the main process has ended in any way.
_main_process = os.pipe()


# The settings that no gunicorn argument may change, and why.
_RESTARTS = "requests fail while the only serving process restarts; restart the whole server instead"
_HEADS = "slow clients would hold all threads, as only heads of HTTP/1.1 are read without one; let a proxy translate"
_FIXED: dict[str, tuple[object, str]] = {
    "workers": (workers, "the journal has one owner, so one process serves"),
    "worker_class": (worker_class, "slow clients would hold all its threads"),
    "threads": (threads, "the limits of waiting requests and event streams follow from THREADS; set that"),
    "preload_app": (False, "threads do not survive the fork behind it, so accepted writes would never be applied"),
    "reload": (False, _RESTARTS),
    "max_requests": (0, _RESTARTS),
    "protocol": ("http", _HEADS),
    "http_protocols": (["h1"], _HEADS),
    "proxy_protocol": ("off", _HEADS),
}


def _check_arguments() -> None:
    """Raise SystemExit with one line for a gunicorn argument that Afterwrite cannot work with.

    Runs before gunicorn applies them: with --preload it would start the application first.
    """
    given = gunicorn.config.Config()
    for source, words in (("GUNICORN_CMD_ARGS", given.get_cmd_args_from_env()), ("The command line", sys.argv[1:])):
        arguments = vars(given.parser().parse_known_args(words)[0])
        for name, (ours, why) in _FIXED.items():
            if arguments[name] is not None:
                given.set(name, arguments[name])
                setting = given.settings[name]
                if setting.get() != ours:
                    flag, found = setting.cli[-1], setting.get()
                    raise SystemExit(f"afterwrite: {source} sets {flag} ({found!r}): {why}. Take it out")


_check_arguments()


def on_starting(server: Any) -> None:
    """Check the addresses of GUNICORN_CMD_ARGS as HOST is checked. Raises SystemExit with one line."""
    for address in server.cfg.address:
        # A Unix socket is for a proxy, through which other machines reach this server.
        host = address[0] if isinstance(address, tuple) else f"unix:{address}"
        try:
            check_access(replace(_settings, host=host))
        except SettingsError as error:
            raise SystemExit(f"afterwrite: {error}") from error
        # The serving process checks HOST again, also after a restart without keys.
        if not is_loopback(host):
            os.environ["HOST"] = host


def nworkers_changed(server: Any, new_value: int, _old_value: int | None) -> None:
    """Ignore SIGTTIN: a second worker could not open the journal, and gunicorn would exit."""
    if new_value != workers:
        server.log.warning("Not starting another worker: the journal has one owner, so one process serves")
        server.num_workers = workers


def post_fork(server: Any, worker: Any) -> None:
    """Handle SIGTERM from the start, and stop with the main process.

    Until gunicorn sets the worker's handlers, the inherited ones put signals into a queue that is never read, so the
    main process would wait for ``graceful_timeout`` and kill this one.
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
    """End event streams and silent connections at SIGTERM, for which gunicorn waits; answer bad HTTP in JSON."""
    handler = signal.getsignal(signal.SIGTERM)

    def announce_and_stop(number: int, frame: FrameType | None) -> None:
        lifetime.announce_stop()
        _give_up_silent_connections(worker)
        if callable(handler):
            handler(number, frame)

    signal.signal(signal.SIGTERM, announce_and_stop)
    gunicorn.util.write_error = _write_error
    _close_where_the_application_says_so()
    _shorten_waits_for_bodies()


def _give_up_silent_connections(worker: Any) -> None:
    """Expire connections without a request: browsers open them ahead, and gunicorn would wait until it is killed."""
    for connection in worker.pending_conns:
        connection.timeout = min(connection.timeout, time.monotonic())


def _shorten_waits_for_bodies() -> None:
    """Shorten gunicorn's waits for the rest of a body whose request is already answered.

    gunicorn waits 5 s in the request's thread and 2 s in the only accepting thread, so a few dozen slow clients would
    stop the server. Data that has arrived is still read, so that closing does not cut the response off.
    """
    gunicorn.workers.gthread.DEFAULT_WORKER_DATA_TIMEOUT = 0.5
    gunicorn.util.close_graceful = partial(gunicorn.util.close_graceful, timeout=0.001)


def _close_where_the_application_says_so() -> None:
    """Honour ``Connection: close`` of a response: gunicorn drops the header and sends keep-alive."""
    process_headers = gunicorn.http.wsgi.Response.process_headers

    def process(response: Any, headers: list[tuple[str, str]]) -> None:
        process_headers(response, headers)
        if ("Connection", "close") in headers:
            response.force_close()

    gunicorn.http.wsgi.Response.process_headers = process


def _write_error(client: socket.socket, status: int, reason: str, message: str) -> None:
    """Send gunicorn's own errors in our JSON form."""
    error = {"message": f"{reason}: {message}"[:500], "extensions": {"code": "BAD_REQUEST"}}
    body = json.dumps({"errors": [error]})
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1", "replace"))


def child_exit(_server: object, worker: HeadReader) -> None:
    """End the server if its application cannot be served; the worker has said why."""
    if worker.has_refused:
        raise SystemExit(1)


def worker_exit(_server: object, _worker: object) -> None:
    """Drain after the last request."""
    lifetime.stop()
