"""A small HTTP server for /health and /metrics in processes without an API."""

import asyncio
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

_LOOP_SECONDS = 1.0  # callers time out after 2 s


class HealthServer:
    """Listens on HOST:METRICS_PORT from the constructor on, answers between ``start`` and ``stop``.

    ``/health`` reports ``ok``, ``degraded`` (a dependency is unavailable: a restart would not help) or, with status
    503, ``stuck``: the background loop does not respond, or a part of its work has ended. There is no authentication:
    anyone who reaches the port may ask.
    """

    def __init__(
        self,
        settings: Settings,
        background: BackgroundLoop,
        health: Callable[[], Mapping[str, object]],
        registry: Collector,
    ) -> None:
        """``health`` returns the content of ``/health`` besides the version, with its ``status``.

        Raises SettingsError if METRICS_PORT cannot be opened.
        """
        self._background, self._report = background, health
        self._metrics: WSGIApplication = make_wsgi_app(registry)
        server = _ServerV6 if ":" in settings.host else _Server
        try:
            self._server = make_server(settings.host, settings.metrics_port, self._answer, server, _Handler)
        except OSError as error:
            raise SettingsError(
                f"METRICS_PORT={settings.metrics_port} of {settings.host} cannot be listened on: {error.strerror}. "
                "Stop the program that listens there, or change METRICS_PORT or HOST"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop answering; may be called once, after ``start``."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return self._metrics(environ, start_response)
        found = environ["PATH_INFO"] == "/health"
        status, body = self._health() if found else (HTTPStatus.NOT_FOUND, {"paths": ["/health", "/metrics"]})
        start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    def _health(self) -> tuple[HTTPStatus, dict[str, object]]:
        base: dict[str, object] = {"version": VERSION}
        if trouble := self._background.trouble:
            return HTTPStatus.SERVICE_UNAVAILABLE, {"status": "stuck", "trouble": trouble, **base}
        try:
            self._background.submit(asyncio.sleep(0)).result(_LOOP_SECONDS)  # whether it responds
        except TimeoutError:  # something blocks it
            return HTTPStatus.SERVICE_UNAVAILABLE, {"status": "stuck", **base}
        return HTTPStatus.OK, {**base, **self._report()}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = 10  # limits how long a silent connection holds its thread

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Log nothing: probes come every few seconds."""
