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
from database.journal import Journal
from database.ledger import Ledger
from database.products import Products
from database.received import ReceivedWebhooks
from database.schema import StoreError
from database.task_database import prepare_task_database
from database.writer import CatalogueWriter
from graphql_http import GraphQLView, Limits
from logs import check_log_file, set_up_logs
from metrics import Metrics
from request_context import Context
from rest_api import rest_api
from schema import build_schema
from settings import VERSION, Settings, SettingsError, from_environment
from tasks.runtime import RuntimeLimits, TaskRuntime
from tasks.workers import build_workers
from webhooks.receiver import Receiver
from webhooks.secret_file import secret_of

_log = logging.getLogger("afterwrite.app")
_ASSET_SECONDS = 7 * 24 * 3600  # the pages put a version into the URLs of their assets
_EXAMPLES = Path(__file__).parent / "static" / "graphiql" / "examples"


class Service:
    """Everything behind the routes: opened by the constructor, running between ``start`` and ``stop``."""

    def __init__(self, settings: Settings) -> None:
        """Open the data folder and what works on it.

        Raises StoreError or SettingsError with one line that says what to do.
        """
        self.settings = settings
        self.metrics = Metrics()
        self.background = BackgroundLoop()
        self._journal = _open_folder(settings)
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
        webhook_secret = settings.webhook_secret or secret_of(settings.data_dir)
        self._tasks = TaskRuntime(
            settings.tasks_path,
            settings.journal_sync,
            settings.threads + 4,
            build_workers(settings, webhook_secret),
            self.background,
            RuntimeLimits.of(settings),
            self.metrics.count_tasks,
        )
        self.tasks = self._tasks.queue
        self.receiver = Receiver(webhook_secret, ReceivedWebhooks(self._tasks.commits, self._tasks.reader))
        self.metrics.watch(self.queue.status, self.tasks.status)
        self.accepting = False

    def start(self) -> None:
        """Start the background loop, the drain and the workers; requests may come when this returns."""
        self.background.start()
        self.queue.start()
        self._tasks.start(alone=True)  # the journal has one owner, and the task database is beside it
        self.accepting = True

    def announce_stop(self) -> None:
        """Let event streams end, and start no more tasks."""
        self.queue.announce_stop()
        self.tasks.announce_stop()

    def stop(self) -> None:
        """Let running tasks end, drain, then let go of everything; may be called twice."""
        if not self.accepting:
            return
        self.accepting = False
        started = time.monotonic()
        self.announce_stop()
        self._tasks.stop()
        self.queue.stop()
        self.background.stop()
        self._tasks.close()
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
    app.register_blueprint(
        rest_api(
            service.tasks,
            service.receiver,
            max_body_bytes=settings.max_body_bytes,
            private_callbacks=settings.webhook_allow_private == "on",
        )
    )
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
    return Context(
        service.products,
        service.queue,
        service.tasks,
        wait_until,
        lambda: asked.host_url.rstrip("/"),
        private_callbacks=service.settings.webhook_allow_private == "on",
    )


def _add_operations(app: Flask, service: Service) -> None:
    @app.get("/health")
    def health() -> Response:
        status, tasks = service.queue.status(), service.tasks.status()
        trouble = status.trouble or service.products.trouble()
        return jsonify(
            status="degraded" if trouble or status.journal_trouble or tasks.trouble else "ok",
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
            tasks={
                "status": "degraded" if tasks.trouble else "ok",
                "trouble": tasks.trouble,
                "worker": tasks.name,
                "running": tasks.running,
            },
            integrations=tasks.integrations,
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


def _open_folder(settings: Settings) -> Journal:
    journal = open_data_folder(settings.products_path, settings.journal_path, settings.journal_sync)
    try:
        prepare_task_database(journal, settings.tasks_path)
    except BaseException:
        journal.close()
        raise
    return journal


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
        service.announce_stop()


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
        _open_folder(settings).close()
        build_workers(settings, settings.webhook_secret or secret_of(settings.data_dir))
        check_log_file(settings)
        serving.check_address(settings)
    except (SettingsError, StoreError, serving.CannotListen) as error:
        sys.stderr.write(f"afterwrite: {error}\n")
        return 1
    serving.serve(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
