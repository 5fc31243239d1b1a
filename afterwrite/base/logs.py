"""Logging setup: one line per event, text or JSON, to standard error and to a file."""

import json
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler

from afterwrite.base.settings import Settings, SettingsError
from afterwrite.base.tracing import job

_FILE_BYTES = 10 << 20
_FILES_KEPT = 3
# These log every statement and every request.
_NOISY = {"aiosqlite": logging.INFO, "httpx": logging.WARNING, "aiormq": logging.WARNING}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def set_up_logs(settings: Settings) -> None:
    """Send the log of the process to standard error and to the log file, whichever is on."""
    formatter = _JsonFormatter() if settings.log_format == "json" else _TextFormatter()
    handlers: list[logging.Handler] = []
    if settings.log_stderr == "on":
        handlers.append(logging.StreamHandler(sys.stderr))
    if settings.log_path is not None:
        handlers.append(
            RotatingFileHandler(
                settings.log_path,
                maxBytes=_FILE_BYTES,
                backupCount=_FILES_KEPT,
                encoding="utf-8",
                errors="backslashreplace",
                delay=True,
            )
        )
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=settings.log_level.upper(), handlers=handlers, force=True)
    for name, level in _NOISY.items():
        logging.getLogger(name).setLevel(max(level, logging.getLogger().level))
    logging.captureWarnings(capture=True)


def check_log_file(settings: Settings) -> None:
    """Raise SettingsError when the log file cannot be written."""
    path = settings.log_path
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        raise SettingsError(
            f"The log file {path} cannot be written: {error.strerror}. Set LOG_FILE to another one, or to off"
        ) from error


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    def format(self, record: logging.LogRecord) -> str:
        named = " ".join(f"{name}={value}" for name, value in job().items())
        whole = super().format(record) + (f" [{named}]" if named else "")
        return " | ".join(whole.splitlines())  # a traceback stays on the line of its event


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        event |= job()
        event |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str, ensure_ascii=False)
