"""Answers /health and /metrics for a process that serves no other requests."""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.registry import Collector

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.settings import VERSION, Settings, SettingsError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_LOOP_SECONDS = 1.0  # those who ask wait 2 s


class HealthServer:
    """Listens on METRICS_PORT of HOST from the constructor on, answers between ``start`` and ``stop``.

    ``/health`` says that the process is ``ok``, ``degraded`` (something that it needs is unavailable: a restart would
    not help) or, with status 503, ``stuck``: the loop that does all its work does not answer, or a part of that work
    has ended. There are no keys here: anyone who reaches the port may ask.
    """

    def __init__(
        self,
        settings: Settings,
        background: BackgroundLoop,
        health: Callable[[], Mapping[str, object]],
        registry: Collector,
    ) -> None:
        """``health`` is what ``/health`` tells beside the version, its ``status`` among it.

        Raises SettingsError when METRICS_PORT cannot be listened on.
        """
        self._background, self._told = background, health
        self._metrics: WSGIApplication = make_wsgi_app(registry)
        server = _ServerV6 if ":" in settings.host else _Server
        try:
            self._server = make_server(settings.host, settings.metrics_port, self._answer, server, _Handler)
        except OSError as error:
            raise SettingsError(
                f"METRICS_PORT={settings.metrics_port} of {settings.host} cannot be listened on: {error.strerror}. "
                "Stop the program that listens there, or set METRICS_PORT or HOST to another one"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; may be called once, after ``start``."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return self._metrics(environ, start_response)
        found = environ["PATH_INFO"] == "/health"
        status, told = self._health() if found else (HTTPStatus.NOT_FOUND, {"paths": ["/health", "/metrics"]})
        start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
        return [json.dumps(told).encode()]

    def _health(self) -> tuple[HTTPStatus, dict[str, object]]:
        told: dict[str, object] = {"version": VERSION}
        if trouble := self._background.trouble:
            return HTTPStatus.SERVICE_UNAVAILABLE, {"status": "stuck", "trouble": trouble, **told}
        try:
            self._background.submit(_nothing()).result(_LOOP_SECONDS)
        except TimeoutError:  # it is busy with something that does not give way
            return HTTPStatus.SERVICE_UNAVAILABLE, {"status": "stuck", **told}
        return HTTPStatus.OK, {**told, **self._told()}


async def _nothing() -> None:
    """What the loop is asked to do, to see that it does anything."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = 10  # a connection that says nothing holds its thread no longer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Nothing: it is asked every few seconds."""
