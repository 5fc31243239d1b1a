"""Settings, read from the environment into one frozen dataclass.

Uses only the standard library, so ``dev.py`` can read the settings before any package is installed.
"""

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from afterwrite.base.settings_file import SettingsError as SettingsError
from afterwrite.base.settings_file import use_settings_file

VERSION = "0.1.0"


# Sections of .env.example and docs/configuration.md, by the first setting of each.
GROUPS = {
    "host": "The server",
    "database_url": "PostgreSQL",
    "log_level": "The log",
    "journal_sync": "Writes",
    "tasks_max": "Tasks",
    "process_engine": "Jobs in Airflow",
    "stripe_secret_key": "Payments and webhooks",
    "max_streams": "Requests and pages",
    "max_tokens": "GraphQL documents",
    "api_keys": "Access",
}
_STREAM_THREADS = 8
_MAX_DIGITS = 18  # a longer number is a typo, and slow to parse


def _setting(
    default: Any,
    text: str,
    *,
    choices: tuple[str, ...] = (),
    least: int = 0,
    most: int = 2**31 - 1,
    secret: bool = False,
) -> Any:
    metadata = {"help": text, "choices": choices, "least": least, "most": most}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, with its default and help text. The environment variable is the name in upper case."""

    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(5000, "port to listen on", least=0, most=65_535)
    data_dir: Path = _setting(Path("data"), "folder for databases, API keys, secrets and the log")
    server: str = _setting("granian", "HTTP server that runs the application", choices=("granian", "gunicorn"))
    threads: int = _setting(32, "request threads", least=2, most=1_000)
    env_file: str = _setting(
        "", "settings file; environment variables override it; empty: .env in the project folder; `off`: none"
    )
    database_url: str = _setting(
        "", "PostgreSQL to share between processes, `postgresql+psycopg://…`; empty: SQLite in DATA_DIR", secret=True
    )
    database_direct_url: str = _setting(
        "", "the same database without the transaction pooler, for LISTEN; empty: DATABASE_URL", secret=True
    )
    database_connections: int = _setting(
        8, "read connections of each process to PostgreSQL; it opens up to four more", least=2, most=1_000
    )
    log_level: str = _setting("info", "minimum severity to log", choices=("debug", "info", "warning", "error"))
    log_format: str = _setting("text", "format of the log, one line per event", choices=("text", "json"))
    log_file: str = _setting(
        "", "log file, in addition to standard error; empty: afterwrite.log in DATA_DIR; `off`: none"
    )
    log_stderr: str = _setting("on", "`off` stops logging to standard error", choices=("on", "off"))
    journal_sync: str = _setting(
        "full",
        "`full` survives a power cut; `normal` is faster and survives only a killed process",
        choices=("full", "normal"),
    )
    queue_max_writes: int = _setting(1_000_000, "queued writes before the answer is QUEUE_FULL", least=1)
    queue_max_bytes: int = _setting(
        1 << 30, "bytes of queued writes before the answer is QUEUE_FULL", least=1, most=1 << 50
    )
    batch_size: int = _setting(500, "max writes applied in one transaction", least=1)
    wait_seconds: int = _setting(
        10, "timeout of createProductSync and afterWrite before WRITE_PENDING", least=0, most=3600
    )
    max_waiters: int = _setting(16, "max requests that wait for a write at once", least=1)
    stop_seconds: int = _setting(
        20, "timeout of the drain at shutdown; remaining writes stay in the journal", least=0, most=3600
    )
    idempotency_hours: int = _setting(168, "hours to remember an idempotency key", least=1, most=100_000)
    tasks_max: int = _setting(1_000_000, "queued tasks before the answer is QUEUE_FULL", least=1)
    task_payload_max_bytes: int = _setting(
        256 << 10, "max bytes of a task's payload, and of its result", least=1_000, most=64 << 20
    )
    task_lock_seconds: int = _setting(
        120, "seconds without a heartbeat after which another worker takes over a task", least=1, most=86_400
    )
    task_stop_seconds: int = _setting(
        10, "timeout for running tasks at shutdown; the rest are released", least=0, most=3600
    )
    task_retention_days: int = _setting(
        30, "days to keep a finished task; never less than IDEMPOTENCY_HOURS", least=1, most=36_500
    )
    task_threads: int = _setting(16, "threads for blocking code in workers", least=1, most=1_000)
    run_workers: str = _setting("on", "`off` leaves tasks to `afterwrite worker` processes", choices=("on", "off"))
    metrics_port: int = _setting(0, "port of a worker process for /metrics and /health; 0: none", most=65_535)
    worker_modules: str = _setting(
        "", "modules with custom workers, comma-separated; each defines `build_workers(settings)`"
    )
    stage_seconds: int = _setting(2, "seconds of work in each stage of an entry", least=0, most=3600)
    process_engine: str = _setting(
        "builtin",
        "engine that runs jobs: Afterwrite's workers, or Airflow over RabbitMQ",
        choices=("builtin", "airflow"),
    )
    amqp_url: str = _setting(
        "amqp://guest:guest@127.0.0.1:5672/", "RabbitMQ, between Afterwrite and Airflow", secret=True
    )
    queue_prefix: str = _setting("", "prefix of queue names in RabbitMQ and keys in Redis")
    queue_max_messages: int = _setting(100_000, "max messages in a RabbitMQ queue; a full queue rejects more", least=1)
    redis_url: str = _setting(
        "redis://127.0.0.1:6379/0", "Redis, for the callback URLs of jobs in Airflow", secret=True
    )
    callback_hours: int = _setting(168, "hours to keep a callback URL in Redis", least=1, most=100_000)
    airflow_url: str = _setting("http://127.0.0.1:8080", "Airflow 3, including the path it is served under")
    airflow_username: str = _setting("", "Airflow user that may start runs; empty: no authentication")
    airflow_password: str = _setting("", "password of AIRFLOW_USERNAME", secret=True)
    airflow_public_url: str = _setting("", "public URL of Airflow, for links; empty: AIRFLOW_URL")
    stripe_secret_key: str = _setting(
        "", "secret key of the Stripe account; empty: payments are simulated and marked so", secret=True
    )
    stripe_api_base: str = _setting("https://api.stripe.com", "base URL of Stripe's API")
    webhook_secret: str = _setting(
        "", "secret that signs webhooks; empty: the one in DATA_DIR/webhook-secret", secret=True
    )
    webhook_allow_private: str = _setting(
        "off", "`on` allows callback URLs at private and loopback addresses", choices=("on", "off")
    )
    max_streams: int = _setting(10_000, "max open event streams", least=1)
    introspection: str = _setting("on", "`off` disables introspection, suggestions and GraphiQL", choices=("on", "off"))
    body_seconds: int = _setting(
        30, "timeout for each 64 KiB of a request body to arrive, and of a response to be read", least=1, most=3600
    )
    max_body_bytes: int = _setting(4 << 20, "max bytes of a request body", least=1)
    upload_max_bytes: int = _setting(32 << 20, "max bytes of an uploaded product file", least=1, most=1 << 40)
    console_poll_seconds: int = _setting(2, "seconds between refreshes of an open console page", least=1, most=3600)
    max_tokens: int = _setting(10_000, "max tokens in a GraphQL document", least=1)
    max_depth: int = _setting(16, "max depth of nested fields", least=1)
    max_aliases: int = _setting(30, "max aliases in a document", least=0)
    max_root_fields: int = _setting(20, "max root fields of an operation", least=1)
    max_directives: int = _setting(50, "max directives in a document", least=0)
    max_errors: int = _setting(20, "max validation errors reported", least=1)
    max_cost: int = _setting(20_000, "max cost of a query: its fields, multiplied by page sizes", least=1)
    document_cache_size: int = _setting(
        1_000, "cache entries for each of valid documents, invalid documents and persisted queries", least=1
    )
    api_keys: str = _setting(
        "", "API keys as `name:role:hash`, comma-separated, in addition to the key file", secret=True
    )
    api_keys_file: str = _setting("", "file of API keys, one per line; empty: api-keys in DATA_DIR")
    allow_anonymous: str = _setting(
        "", "role of callers without a key; empty: none, or everything on an open server", choices=("read", "write")
    )
    cors_origins: str = _setting(
        "", "CORS origins that may use the API, such as `https://shop.example`, comma-separated, or `*`; empty: none"
    )
    published_host: str = _setting(
        "", "address at which the port is published, where it differs from HOST (containers); empty: HOST"
    )
    session_hours: int = _setting(12, "hours that a browser stays signed in", least=1, most=8_760)
    proxies: int = _setting(0, "reverse proxies in front whose X-Forwarded-For, -Proto and -Host are trusted", most=10)
    own_proxies: int = _setting(
        0, "proxies that belong to this server, not counted in PROXIES; they listen on PUBLISHED_HOST", most=10
    )
    rate_limit: str = _setting(
        "", "requests per key, or per address without one, such as `600/minute`; empty: no limit"
    )

    @property
    def products_path(self) -> Path:
        """The database of products and the ledger."""
        return self.data_dir / "products.db"

    @property
    def journal_path(self) -> Path:
        """The journal of accepted writes that are not yet applied."""
        return self.data_dir / "journal.db"

    @property
    def tasks_path(self) -> Path:
        """The database of durable tasks."""
        return self.data_dir / "tasks.db"

    @property
    def stream_threads(self) -> int:
        """Max open event streams that hold a thread: all of gunicorn's, and those of synchronous iterators."""
        return min(self.max_streams, _STREAM_THREADS)

    @property
    def longest_stop_seconds(self) -> int:
        """Max duration of a shutdown: it answers requests, waits for running tasks, then applies queued writes."""
        return self.wait_seconds + self.task_stop_seconds + self.stop_seconds

    @property
    def data_place(self) -> str:
        """The name of the place that holds the data, for messages."""
        return "PostgreSQL" if self.database_url else str(self.data_dir)

    @property
    def log_path(self) -> Path | None:
        """The log file, or None if LOG_FILE is off."""
        if self.log_file == "off":
            return None
        return Path(self.log_file) if self.log_file else self.data_dir / "afterwrite.log"


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment and the settings file; an empty variable counts as unset.

    Reads only ``environ`` if it is given. Raises SettingsError for the first invalid value.
    """
    if environ is None:
        known = {item.name.upper(): item for item in fields(Settings)}
        use_settings_file(known, lambda name, value: _read(known[name], value))
    source = os.environ if environ is None else environ
    given = {item.name: source.get(item.name.upper(), "").strip() for item in fields(Settings)}
    settings = Settings(**{item.name: _read(item, given[item.name]) for item in fields(Settings) if given[item.name]})
    if settings.max_waiters + settings.stream_threads >= settings.threads:
        raise SettingsError(
            f"THREADS={settings.threads} leaves no thread for queries besides "
            f"MAX_WAITERS={settings.max_waiters} and the {settings.stream_threads} event streams that may hold one "
            f"(MAX_STREAMS={settings.max_streams}, at most {_STREAM_THREADS}): "
            f"raise THREADS above their sum or lower them",
            setting="THREADS",
        )
    if settings.run_workers == "off" and not settings.database_url:
        raise SettingsError(
            "RUN_WORKERS=off leaves tasks to other processes, which cannot share DATA_DIR: set DATABASE_URL",
            setting="RUN_WORKERS",
        )
    if settings.process_engine == "airflow" and not settings.database_url:
        raise SettingsError(
            "PROCESS_ENGINE=airflow needs a database that Airflow can reach: set DATABASE_URL", setting="PROCESS_ENGINE"
        )
    return settings


def _read(item: Field[Any], text: str) -> Any:
    name, choices = item.name.upper(), item.metadata["choices"]
    if choices:
        if text.lower() not in choices:
            raise SettingsError(f"{name}={text!r} is not known: use one of {', '.join(choices)}")
        return text.lower()
    if isinstance(item.default, int):
        least, most = item.metadata["least"], item.metadata["most"]
        plain = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
        if not plain or not least <= int(text) <= most:
            raise SettingsError(
                f"{name}={text!r} is not usable: give a whole number of at least {least} and at most {most}"
            )
        return int(text)
    return Path(text) if isinstance(item.default, Path) else text
