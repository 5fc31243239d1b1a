"""Reads the settings from the environment into one frozen dataclass.

Standard library only, so that ``dev.py`` can read the same settings before anything is installed.
"""

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from afterwrite.base.settings_file import SettingsError as SettingsError
from afterwrite.base.settings_file import use_settings_file

VERSION = "0.1.0"


# Sections of .env.example and docs/configuration.md, by the setting that begins each.
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
_DIGITS = 18  # of a number: more is a typo, and slow to parse


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
    """Every setting with default and help; its environment variable is the name in capitals."""

    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(5000, "port to listen on", least=0, most=65_535)
    data_dir: Path = _setting(Path("data"), "folder of the databases, the keys, the secrets and the log")
    server: str = _setting(
        "granian", "HTTP server that runs the application", choices=("granian", "gunicorn")
    )
    threads: int = _setting(32, "threads that answer requests", least=2, most=1_000)
    env_file: str = _setting(
        "",
        "file of settings, which the environment comes before; empty: .env in the project's folder; `off`: none",
    )
    database_url: str = _setting(
        "", "PostgreSQL for many processes, `postgresql+psycopg://…`; empty: SQLite in DATA_DIR", secret=True
    )
    database_direct_url: str = _setting(
        "", "the same database past a transaction pooler, to LISTEN there; empty: DATABASE_URL", secret=True
    )
    database_connections: int = _setting(
        8, "connections of a process that read PostgreSQL; it has four more", least=2, most=1_000
    )
    log_level: str = _setting(
        "info", "least severe event that is logged", choices=("debug", "info", "warning", "error")
    )
    log_format: str = _setting("text", "one line per event, as text or as JSON", choices=("text", "json"))
    log_file: str = _setting(
        "", "file that gets the log beside standard error; empty: afterwrite.log in DATA_DIR; `off`: none"
    )
    log_stderr: str = _setting("on", "`off` keeps the log from standard error", choices=("on", "off"))
    journal_sync: str = _setting(
        "full",
        "`full` survives a power cut; `normal` is faster, survives a killed process but not a power cut",
        choices=("full", "normal"),
    )
    queue_max_writes: int = _setting(1_000_000, "writes that may wait before QUEUE_FULL is answered", least=1)
    queue_max_bytes: int = _setting(
        1 << 30, "bytes of waiting writes before QUEUE_FULL is answered", least=1, most=1 << 50
    )
    batch_size: int = _setting(500, "writes applied in one transaction at the most", least=1)
    wait_seconds: int = _setting(
        10, "longest wait of createProductSync and afterWrite before WRITE_PENDING", least=0, most=3600
    )
    max_waiters: int = _setting(16, "requests that may wait for a write at the same time", least=1)
    stop_seconds: int = _setting(
        20, "longest drain at a stop; what is left waits in the journal", least=0, most=3600
    )
    idempotency_hours: int = _setting(
        168, "hours for which an idempotency key is remembered", least=1, most=100_000
    )
    tasks_max: int = _setting(1_000_000, "tasks that may wait before QUEUE_FULL is answered", least=1)
    task_payload_max_bytes: int = _setting(
        256 << 10, "bytes of a task's payload, and of its result", least=1_000, most=64 << 20
    )
    task_lock_seconds: int = _setting(
        120, "a task whose worker was silent for so long is given to another one", least=1, most=86_400
    )
    task_stop_seconds: int = _setting(
        10, "longest wait for running tasks at a stop; the others are released", least=0, most=3600
    )
    task_retention_days: int = _setting(
        30, "days for which a task that has ended is kept; IDEMPOTENCY_HOURS at least", least=1, most=36_500
    )
    task_threads: int = _setting(16, "threads for the blocking code of workers", least=1, most=1_000)
    run_workers: str = _setting(
        "on", "`off` leaves tasks to other processes: `dev.py worker`", choices=("on", "off")
    )
    metrics_port: int = _setting(
        0, "port on which a process of workers answers /metrics and /health; 0: none", most=65_535
    )
    worker_modules: str = _setting(
        "", "modules with workers of your own, separated by commas; each has `build_workers(settings)`"
    )
    stage_seconds: int = _setting(2, "seconds of work in each stage of an entry", least=0, most=3600)
    process_engine: str = _setting(
        "builtin",
        "who runs processes: the workers here, or Airflow over RabbitMQ",
        choices=("builtin", "airflow"),
    )
    amqp_url: str = _setting(
        "amqp://guest:guest@127.0.0.1:5672/", "RabbitMQ, between Afterwrite and Airflow", secret=True
    )
    queue_prefix: str = _setting("", "begins the names of the queues in RabbitMQ and of the keys in Redis")
    queue_max_messages: int = _setting(
        100_000, "messages in a queue of RabbitMQ before it takes no more", least=1
    )
    redis_url: str = _setting(
        "redis://127.0.0.1:6379/0", "Redis, for the callback URLs of what Airflow runs", secret=True
    )
    callback_hours: int = _setting(168, "hours for which Redis keeps a callback URL", least=1, most=100_000)
    airflow_url: str = _setting("http://127.0.0.1:8080", "Airflow 3, with the path under which it is served")
    airflow_username: str = _setting("", "Airflow's user who may start runs; empty: none is asked for")
    airflow_password: str = _setting("", "password of AIRFLOW_USERNAME", secret=True)
    airflow_public_url: str = _setting("", "Airflow as browsers reach it, for links; empty: AIRFLOW_URL")
    stripe_secret_key: str = _setting(
        "", "secret key of the Stripe account; empty: payments are simulated, and say so", secret=True
    )
    stripe_api_base: str = _setting("https://api.stripe.com", "where Stripe's API is")
    webhook_secret: str = _setting(
        "", "signs what is sent to callback URLs; empty: the one in DATA_DIR/webhook-secret", secret=True
    )
    webhook_allow_private: str = _setting(
        "off", "`on` lets callback URLs lead to private and loopback addresses", choices=("on", "off")
    )
    max_streams: int = _setting(8, "event streams open at the same time", least=1)
    introspection: str = _setting(
        "on", "`off` turns introspection, suggestions and GraphiQL off", choices=("on", "off")
    )
    body_seconds: int = _setting(
        30,
        "seconds in which each 64 KiB of a request body must come, and of an answer be taken",
        least=1,
        most=3600,
    )
    max_body_bytes: int = _setting(4 << 20, "bytes of a request body", least=1)
    upload_max_bytes: int = _setting(
        32 << 20, "bytes of a file of products that is uploaded", least=1, most=1 << 40
    )
    console_poll_seconds: int = _setting(
        2, "seconds after which an open page of the console looks again", least=1, most=3600
    )
    max_tokens: int = _setting(10_000, "tokens of a GraphQL document", least=1)
    max_depth: int = _setting(16, "levels of nested fields", least=1)
    max_aliases: int = _setting(30, "aliases in a document", least=0)
    max_root_fields: int = _setting(20, "root fields of an operation", least=1)
    max_directives: int = _setting(50, "directives in a document", least=0)
    max_errors: int = _setting(20, "validation errors that are reported", least=1)
    max_cost: int = _setting(20_000, "fields that a query may ask for, page sizes multiplied", least=1)
    document_cache_size: int = _setting(
        1_000, "valid documents kept, wrong ones, persisted queries: so many of each", least=1
    )
    api_keys: str = _setting(
        "", "keys as `name:role:hash`, separated by commas, beside those of the file", secret=True
    )
    api_keys_file: str = _setting("", "file of keys, one on each line; empty: api-keys in DATA_DIR")
    allow_anonymous: str = _setting(
        "",
        "what callers without a key may do; empty: nothing, or all on an open server",
        choices=("read", "write"),
    )
    cors_origins: str = _setting(
        "",
        "web pages from elsewhere that may use the API: origins such as `https://shop.example`, separated by commas, "
        "or `*`; empty: none",
    )
    published_host: str = _setting(
        "", "address under which the port is reached, where HOST does not say (containers); empty: HOST"
    )
    session_hours: int = _setting(12, "hours for which a browser stays signed in", least=1, most=8_760)
    proxies: int = _setting(
        0, "reverse proxies in front whose X-Forwarded-For, -Proto and -Host are believed", most=10
    )
    own_proxies: int = _setting(
        0,
        "proxies beside PROXIES that belong to this server: PUBLISHED_HOST is where they are reached",
        most=10,
    )
    rate_limit: str = _setting(
        "", "requests of each key, or address, such as `600/minute`; empty: as many as they like"
    )

    @property
    def products_path(self) -> Path:
        """The product database: products and ledger."""
        return self.data_dir / "products.db"

    @property
    def journal_path(self) -> Path:
        """The journal: accepted writes that are not applied yet."""
        return self.data_dir / "journal.db"

    @property
    def tasks_path(self) -> Path:
        """The task database: durable tasks."""
        return self.data_dir / "tasks.db"

    @property
    def longest_stop_seconds(self) -> int:
        """The longest shutdown: requests are answered, then running tasks end, then writes are applied."""
        return self.wait_seconds + self.task_stop_seconds + self.stop_seconds

    @property
    def data_place(self) -> str:
        """Where the data is, for messages to people."""
        return "PostgreSQL" if self.database_url else str(self.data_dir)

    @property
    def log_path(self) -> Path | None:
        """The file that gets the log, or None."""
        if self.log_file == "off":
            return None
        return Path(self.log_file) if self.log_file else self.data_dir / "afterwrite.log"


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment and the settings file; an empty variable counts as unset.

    Given ``environ``, read only that. Raises SettingsError for the first invalid value.
    """
    if environ is None:
        known = {item.name.upper(): item for item in fields(Settings)}
        use_settings_file(known, lambda name, value: _read(known[name], value))
    source = os.environ if environ is None else environ
    given = {item.name: source.get(item.name.upper(), "").strip() for item in fields(Settings)}
    settings = Settings(
        **{item.name: _read(item, given[item.name]) for item in fields(Settings) if given[item.name]}
    )
    if settings.max_waiters + settings.max_streams >= settings.threads:
        raise SettingsError(
            f"THREADS={settings.threads} leaves no thread for queries next to "
            f"MAX_WAITERS={settings.max_waiters} and MAX_STREAMS={settings.max_streams}: "
            f"raise THREADS above their sum or lower them",
            setting="THREADS",
        )
    if settings.run_workers == "off" and not settings.database_url:
        raise SettingsError(
            "RUN_WORKERS=off leaves tasks to other processes, which data in DATA_DIR cannot have: set DATABASE_URL",
            setting="RUN_WORKERS",
        )
    if settings.process_engine == "airflow" and not settings.database_url:
        raise SettingsError(
            "PROCESS_ENGINE=airflow needs a database that Airflow reaches, which DATA_DIR is not: set DATABASE_URL",
            setting="PROCESS_ENGINE",
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
        plain = text.isascii() and text.isdigit() and len(text) <= _DIGITS
        if not plain or not least <= int(text) <= most:
            raise SettingsError(
                f"{name}={text!r} is not usable: give a whole number of at least {least} and at most {most}"
            )
        return int(text)
    return Path(text) if isinstance(item.default, Path) else text
