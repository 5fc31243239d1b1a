"""Wires settings, databases, queue, schema and routes into the application; owns its start and stop."""

import logging
import sys
import time
from pathlib import Path

from flask import Flask, Request, Response, jsonify, redirect, request
from werkzeug.exceptions import HTTPException

from async_db import QueueLimits, QueueState, WriteQueue
from background import BackgroundLoop
from database.data_folder import open_data_folder
from database.engine import open_reader
from database.ledger import Ledger
from database.products import Products
from database.schema import StoreError
from database.writer import CatalogueWriter
from graphql_http import GraphQLView, Limits
from logs import check_log_file, set_up_logs
from metrics import Metrics
from product_pages import Context
from product_types import build_schema
from settings import VERSION, Settings, SettingsError, from_environment

_log = logging.getLogger("afterwrite.app")
_ASSET_SECONDS = 7 * 24 * 3600  # the pages put a version into the URLs of their assets
_EXAMPLES = Path(__file__).parent / "static" / "graphiql" / "examples"


class Service:
    """Everything behind the routes: opened by the constructor, running between ``start`` and ``stop``."""

    def __init__(self, settings: Settings) -> None:
        """Open the data folder and what works on it. Raises StoreError with one line that says what to do."""
        self.settings = settings
        self.metrics = Metrics()
        self.background = BackgroundLoop()
        self._journal = open_data_folder(settings.products_path, settings.journal_path, settings.journal_sync)
        self._engine = open_reader(settings.products_path, settings.threads + 2)
        self.products = Products(self._engine)
        self.queue = WriteQueue(
            self._journal,
            Ledger(self._engine),
            CatalogueWriter(settings.products_path),
            self.background,
            _queue_limits(settings),
            self.products.last_id(),
            self.metrics.count_settled,
        )
        self.metrics.watch(self.queue.status)
        self.accepting = False

    def start(self) -> None:
        """Start the background loop and the drain; requests may come when this returns."""
        self.background.start()
        self.queue.start()
        self.accepting = True

    def stop(self) -> None:
        """Drain, then let go of everything; may be called twice."""
        if not self.accepting:
            return
        self.accepting = False
        started = time.monotonic()
        self.queue.stop()
        self.background.stop()
        self._journal.close()
        self._engine.dispose()
        _log.info("stopped after %.1f s", time.monotonic() - started)


def create_app(service: Service) -> Flask:
    """The Flask application over a service."""
    app = Flask(__name__)
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = _ASSET_SECONDS
    settings = service.settings
    view = GraphQLView.as_view(
        "graphql",
        schema=build_schema(),
        graphiql=settings.introspection == "on",
        introspection=settings.introspection == "on",
        limits=_graphql_limits(settings),
        max_streams=settings.max_streams,
        context=lambda asked: _context(service, asked),
        examples=[path.read_text(encoding="utf-8") for path in sorted(_EXAMPLES.glob("*.graphql"))],
    )
    app.add_url_rule("/graphql", view_func=view)
    app.add_url_rule("/", view_func=lambda: redirect("/graphql"), endpoint="root")
    _add_operations(app, service)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected_error)

    @app.after_request
    def _count(response: Response) -> Response:
        rule = request.url_rule
        service.metrics.count_request(rule.rule if rule else "none", response.status_code)
        return response

    return app


def _context(service: Service, asked: Request) -> Context:
    wait_until = time.monotonic() + service.settings.wait_seconds
    return Context(service.products, service.queue, wait_until, lambda: asked.host_url.rstrip("/"))


def _add_operations(app: Flask, service: Service) -> None:
    @app.get("/health")
    def health() -> Response:
        status = service.queue.status()
        trouble = status.trouble or service.products.trouble()
        return jsonify(
            status="degraded" if trouble or status.journal_trouble else "ok",
            version=VERSION,
            queue={
                "depth": status.depth,
                "bytes": status.size_bytes,
                "oldestAgeMs": status.oldest_age_ms,
                "state": status.state,
            },
            database={"status": "degraded" if trouble else "ok", "trouble": trouble},
            journal={
                "status": "degraded" if status.journal_trouble else "ok",
                "trouble": status.journal_trouble,
                "sync": service.settings.journal_sync,
            },
        )

    @app.get("/ready")
    def ready() -> tuple[Response, int]:
        stopping = not service.accepting or service.queue.status().state is QueueState.STOPPING
        return jsonify(ready=not stopping), 503 if stopping else 200

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(service.metrics.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _http_error(error: HTTPException) -> tuple[Response, int]:
    status = error.code or 500
    code = "INTERNAL_SERVER_ERROR" if status >= 500 else "BAD_REQUEST"
    answer = jsonify(errors=[{"message": error.description, "extensions": {"code": code}}])
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            answer.headers[name] = value
    return answer, status


def _unexpected_error(error: Exception) -> tuple[Response, int]:
    _log.error("unexpected error", exc_info=error)
    message = "Internal server error: the log has the reason"
    return jsonify(errors=[{"message": message, "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]), 500


def _queue_limits(settings: Settings) -> QueueLimits:
    return QueueLimits(
        max_writes=settings.queue_max_writes,
        max_bytes=settings.queue_max_bytes,
        batch_size=settings.batch_size,
        max_waiters=settings.max_waiters,
        stop_seconds=settings.stop_seconds,
        idempotency_seconds=settings.idempotency_hours * 3600,
    )


def _graphql_limits(settings: Settings) -> Limits:
    return Limits(
        max_body_bytes=settings.max_body_bytes,
        max_tokens=settings.max_tokens,
        max_depth=settings.max_depth,
        max_aliases=settings.max_aliases,
        max_root_fields=settings.max_root_fields,
        max_directives=settings.max_directives,
        max_errors=settings.max_errors,
        max_cost=settings.max_cost,
        document_cache_size=settings.document_cache_size,
    )


_running: list[Service] = []


def wsgi() -> Flask:
    """Start the service of this process and return its application: what an HTTP server loads."""
    settings = from_environment()
    set_up_logs(settings)
    service = Service(settings)
    service.start()
    _running.append(service)
    _log.info("serving on http://%s:%d, data in %s", settings.host, settings.port, settings.data_dir)
    return create_app(service)


def announce_stop() -> None:
    """Let the event streams of this process end: what an HTTP server calls when it is told to stop."""
    for service in _running:
        service.queue.announce_stop()


def stop() -> None:
    """Stop the service of this process: what an HTTP server calls after its last request."""
    while _running:
        _running.pop().stop()


def main() -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    import serving

    try:
        settings = from_environment()
        # Opened once here, so that what is wrong is said in one line before any process is started.
        open_data_folder(settings.products_path, settings.journal_path, settings.journal_sync).close()
        check_log_file(settings)
        serving.check_address(settings)
    except (SettingsError, StoreError, serving.CannotListen) as error:
        sys.stderr.write(f"afterwrite: {error}\n")
        return 1
    serving.serve(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
