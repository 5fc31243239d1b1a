"""Runs the application under Granian or gunicorn with one serving process, until SIGTERM or SIGINT."""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from afterwrite.base.logs import set_up_logs
from afterwrite.base.settings import Settings
from afterwrite.server import lifetime
from afterwrite.server.connections import (
    CONNECTIONS_MAX,
    HEAD_MAX_BYTES,
    HEAD_SECONDS,
    connections_max,
    raise_descriptor_limit,
)
from afterwrite.server.loading import REFUSED, load

_log = logging.getLogger("afterwrite.server")
_GUNICORN_SETTINGS = Path(__file__).with_name("gunicorn_settings.py")
_FAILURES_MAX = 5
_STEADY_SECONDS = 60.0  # a server that ran this long resets the count of failures
_WAKE = getattr(signal, "SIGURG", 0)  # ignored by default


class CannotListen(Exception):
    """The server cannot listen on its address."""


def check_address(settings: Settings) -> None:
    """Raise CannotListen if HOST and PORT are in use or not permitted.

    Granian's workers share their port (SO_REUSEPORT), so a second server would otherwise start on the first one's port
    and take some of its requests.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name == "posix":  # connections in TIME_WAIT do not block the port there
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise CannotListen(
                f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
                "Stop the program that listens there, or set HOST or PORT to another one"
            ) from error


def serve(settings: Settings, script: Path) -> None:
    """Serve the ``wsgi`` of a module until SIGTERM or SIGINT; returns after the drain.

    ``script`` is the module's file (absolute). Raises SystemExit when the server fails.
    """
    raise_descriptor_limit(0 if settings.server == "gunicorn" else settings.max_streams)
    if settings.server == "gunicorn":
        _serve_with_gunicorn(script)
    else:
        _serve_with_granian(settings, script)


def _serve_with_granian(settings: Settings, script: Path) -> None:
    """Serve, and restart Granian when it exits because its worker died twice within seconds.

    Otherwise a task that kills its process would end the server. Raises SystemExit after repeated failures.
    """
    set_up_logs(settings)
    _reset_signals_in_workers()
    failures = 0
    while True:
        started = time.monotonic()
        try:
            server = _granian(settings, script, is_first=not failures)
            server.serve(_granian_worker, partial(_load, script), wrap_loader=False)
        except _Refused:
            raise SystemExit(1) from None
        except SystemExit:
            failures = failures + 1 if time.monotonic() - started < _STEADY_SECONDS else 1
            if failures == _FAILURES_MAX:
                raise
            _report("the serving process ended twice within seconds: restarting the server in %d s", failures)
            time.sleep(failures)
        else:
            return


def _reset_signals_in_workers() -> None:
    """Let a stop signal end a worker that does not serve yet.

    The worker inherits this process's handlers, which only set a flag in its copy of the server: the signal would be
    lost, and the stop would last until Granian kills the worker.
    """
    if sys.platform == "win32":
        return
    stops = (signal.SIGTERM, signal.SIGINT)

    def end_by_signal() -> None:
        for number in stops:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)

    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, stops),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, stops),
        after_in_child=end_by_signal,
    )


class _Refused(Exception):
    """The first serving process has said why it cannot serve."""


def _granian(settings: Settings, script: Path, *, is_first: bool) -> Any:
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.server.mp import MPServer

    class ReportingServer(MPServer):  # Granian restarts workers without writing to our log
        def _respawn_workers(self, workers: list[int], *arguments: Any, **options: Any) -> Any:
            nonlocal is_first
            for index in workers:
                ended = self.wrks[index].inner
                # A later one may find a database that is away for a moment only.
                if is_first and ended.exitcode == REFUSED:
                    raise _Refused
                is_first = False
                _report("the serving process %s: starting it again", _end_of(ended.pid, ended.exitcode))
            return super()._respawn_workers(workers, *arguments, **options)

    return ReportingServer(
        str(script),  # which _load loads
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,  # of the application; `_serve_requests` calls it over ASGI
        workers=1,  # the journal has one owner
        blocking_threads=settings.threads,
        # With HTTP/2 a stream that ends before its body never frees its thread, and the wait for a connection's first
        # bytes, which choose the protocol, has no limit.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_SECONDS * 1000, max_buffer_size=HEAD_MAX_BYTES),
        backlog=CONNECTIONS_MAX,
        backpressure=connections_max(settings.max_streams),
        respawn_failed_workers=True,
        workers_kill_timeout=settings.longest_stop_seconds + 10,
        log_enabled=False,
    )


def _report(message: str, *arguments: object) -> None:
    """Log an error of the main process, and close the log file, which the serving process rotates."""
    _log.error(message, *arguments)
    for handler in logging.getLogger().handlers:
        handler.close()


def _end_of(pid: int, exit_code: int | None) -> str:
    if exit_code is None:
        return f"{pid} is replaced"
    how = f"by signal {-exit_code}" if exit_code < 0 else f"with exit code {exit_code}"
    return f"{pid} ended {how}"


def _granian_worker(*arguments: Any, **options: Any) -> None:
    """Run Granian's worker and stop the services after it: atexit does not run there."""
    from granian.server.mp import WorkerProcess

    _stop_with_parent()
    process: Any = WorkerProcess
    try:
        process.wrap_target(_serve_requests)(*arguments, **options)
    finally:
        lifetime.stop()


def _load(script: Path) -> Any:
    from granian._internal import load_target

    # By its path: a module of this name may lie in the current folder too.
    return load(partial(load_target, f"{script}:wsgi", wd=script.parent, factory=True))


def _serve_requests(
    number: int, application: Any, listener: Any, ipc: Any, _loop: Any, *arguments: Any, **_options: Any
) -> None:
    """Serve until a stop signal, as Granian's own target for a WSGI worker does, with its ASGI worker."""
    from granian import _granian, _signals
    from granian.server.common import WORKERS_METHODS

    from afterwrite.server import granian_worker

    granian: Any = _granian
    signals: Any = _signals

    mode, runtime_threads, runtime_blocking, threads, idle_seconds, backpressure, _tasks, *rest = arguments
    http_mode, http1, http2, websockets, static, _access_log, tls, _scope, metrics = rest
    stopped = signals.set_sync_signals()
    ended = threading.Event()
    stopped.add_cb(ended.set)
    worker = granian.ASGIWorker(
        number,
        listener,
        ipc,
        runtime_threads,
        runtime_blocking,
        threads + granian_worker.DELIVERING_THREADS,
        idle_seconds,
        backpressure,
        http_mode,
        http1,
        http2,
        websockets,
        static,
        *tls,
        metrics,
    )
    start = getattr(worker, WORKERS_METHODS[mode][False])
    granian_worker.serve(start, application, threads, stopped)
    ended.wait()


def _stop_with_parent() -> None:
    """Stop this process when its parent has ended: no signal would reach it, and it owns the journal."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        _log.error("the server's main process has ended: stopping")
        lifetime.stop()
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def wake_worker_on_signals() -> None:
    """Wake the main thread of a Granian worker on signals, whichever command started it; does nothing elsewhere."""
    if multiprocessing.current_process().name == "granian-worker":
        wake_main_thread_on_signals(lifetime.announce_stop)  # Granian waits for event streams before it stops


def wake_main_thread_on_signals(then: Callable[[], None] = lambda: None) -> None:
    """Wake the main thread when the kernel delivers a signal to another thread.

    Python runs signal handlers in the main thread only and does not wake it, so a process whose main thread waits
    would not stop. ``then`` is called after each signal, in a thread of its own.
    """
    if sys.platform == "win32":
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.signal(_WAKE, lambda *_: None)  # a handler, so that it interrupts a system call
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    def wake() -> None:
        with sender:  # keeps it open as long as this thread, which is as long as the process
            while number := receiver.recv(1):
                if number[0] != _WAKE:
                    signal.pthread_kill(main_thread, _WAKE)
                    then()

    threading.Thread(target=wake, name="signal-wake", daemon=True).start()


def _serve_with_gunicorn(script: Path) -> None:
    command = [sys.executable, "-m", "gunicorn", "--config", str(_GUNICORN_SETTINGS), f"{script.stem}:wsgi()"]
    if sys.platform == "win32":
        raise SystemExit("SERVER=gunicorn does not run on Windows: use SERVER=granian")
    # PYTHONPATH rather than --chdir, so that a relative DATA_DIR keeps its meaning.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(script.parent), os.environ.get("PYTHONPATH", "")])}
    os.execve(sys.executable, command, environment)  # noqa: S606 - it replaces this process and takes its signals
