"""Sets gunicorn up for one owner of the journal: one process, many threads."""

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

bind = (
    f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
)
worker_class = HeadReader
worker_connections = connections_max()
limit_request_line = 0  # HEAD_MAX_BYTES bounds it
workers = 1  # the journal has one owner
threads = _settings.threads
timeout = 0  # a thread that waits for a write is no hung worker
graceful_timeout = _settings.longest_stop_seconds + 10
keepalive = 75
backlog = CONNECTIONS_MAX
control_socket_disable = True  # it would be written into the home folder
forwarded_allow_ips = ""  # PROXIES says who is believed
accesslog = None
loglevel = "warning"

# The worker's end of it can be read when the main process, however it ended, lets go of the other end.
_main_process = os.pipe()


# What no argument of gunicorn may change, and why.
_RESTARTS = "requests fail while the only serving process restarts; restart the whole server instead"
_HEADS = "slow clients would hold all threads, as only heads of HTTP/1.1 are read without one; let a proxy translate"
_FIXED: dict[str, tuple[object, str]] = {
    "workers": (workers, "the journal has one owner, so one process serves"),
    "worker_class": (worker_class, "slow clients would hold all its threads"),
    "threads": (threads, "the limits of waiting requests and event streams follow from THREADS; set that"),
    "preload_app": (
        False,
        "threads do not survive the fork behind it, so accepted writes would never be applied",
    ),
    "reload": (False, _RESTARTS),
    "max_requests": (0, _RESTARTS),
    "protocol": ("http", _HEADS),
    "http_protocols": (["h1"], _HEADS),
    "proxy_protocol": ("off", _HEADS),
}


def _check_arguments() -> None:
    """Raise SystemExit with one line where an argument of gunicorn asks for what Afterwrite cannot do.

    Checked before gunicorn applies them: with --preload it would start the application first.
    """
    given = gunicorn.config.Config()
    for source, words in (
        ("GUNICORN_CMD_ARGS", given.get_cmd_args_from_env()),
        ("The command line", sys.argv[1:]),
    ):
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


def nworkers_changed(server: Any, new_value: int, _old_value: int | None) -> None:
    """Keep to one worker when SIGTTIN asks for another: that one could not open the journal, and gunicorn would end."""
    if new_value != workers:
        server.log.warning("Not starting another worker: the journal has one owner, so one process serves")
        server.num_workers = workers


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
        lifetime.announce_stop()
        _give_up_silent_connections(worker)
        if callable(handler):
            handler(number, frame)

    signal.signal(signal.SIGTERM, announce_and_stop)
    gunicorn.util.write_error = _write_error
    _close_where_the_application_says_so()
    _shorten_waits_for_bodies()


def _give_up_silent_connections(worker: Any) -> None:
    """Browsers open connections before they need them; gunicorn would wait for one to speak until it kills itself."""
    for connection in worker.pending_conns:
        connection.timeout = min(connection.timeout, time.monotonic())


def _shorten_waits_for_bodies() -> None:
    """Shorten gunicorn's waits for the rest of a body whose request is already answered.

    gunicorn waits 5 s in the request's thread and 2 s in the one thread that accepts: a few dozen slow clients would
    stop the server. What has arrived by then is still read, so that closing does not cut the answer off.
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
    lifetime.stop()
