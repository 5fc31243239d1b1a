"""The RabbitMQ messages: versioned JSON, with a JSON Schema per kind (docs/stack.md).

A message names a job and its run, never the products, which stay in the database. So messages are always small, and no
job fails for the size of its message.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Self

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from afterwrite.base.tracing import HEADER, read_trace

VERSION = 1
CONTENT_TYPE = "application/json"
CORRELATION_ID = "correlation_id"
COMPLETED, FAILED = "completed", "failed"
_MOST_BYTES = 64 * 1024
_RUN_ID = {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9_.~:+-]+$"}
_TEXT = {"type": "string", "minLength": 1, "maxLength": 255}
_OF_EVERY_MESSAGE: dict[str, Any] = {
    "version": {"const": VERSION},
    "correlation_id": _TEXT,
    # A number as text: JSON numbers are only exact up to 2^53.
    "task_id": {"type": "string", "pattern": "^[1-9][0-9]{0,18}$"},
    "run_id": _RUN_ID,
    "sent_at": {"type": "string", "minLength": 20, "maxLength": 40},
}


def _schema(title: str, more: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = {**_OF_EVERY_MESSAGE, **more}
    return MappingProxyType(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": title,
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    )


REQUEST_SCHEMA = _schema("A request to Airflow for a run", {})
RESULT_SCHEMA = _schema(
    "The result of a run",
    {
        "outcome": {"enum": [COMPLETED, FAILED]},
        # For a run that could not start; all others store their error in the database.
        "error": {
            "type": ["object", "null"],
            "properties": {"code": _TEXT, "message": {"type": "string", "maxLength": 2_000}},
            "required": ["code", "message"],
            "additionalProperties": False,
        },
    },
)
_REQUEST, _RESULT = Draft202012Validator(REQUEST_SCHEMA), Draft202012Validator(RESULT_SCHEMA)


class BadMessage(Exception):
    """A message that this program cannot read; the text says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a run: its job, task and ``dag_run_id``."""

    correlation_id: str
    task_id: int
    run_id: str

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Decode a message body. Raises BadMessage."""
        value = _checked(body, _REQUEST)
        return cls(value["correlation_id"], int(value["task_id"]), value["run_id"])

    def encode(self) -> bytes:
        return _encode(self, {})


@dataclass(frozen=True, slots=True)
class Result(Request):
    """The result of a run; its report or error is in the database (``storage.postgres.job_runs``).

    ``error`` is a code and a message if Airflow refused to start the run, else None.
    """

    outcome: str
    error: tuple[str, str] | None = None

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Decode a message body. Raises BadMessage."""
        value = _checked(body, _RESULT)
        error = value["error"]
        reason = None if error is None else (error["code"], error["message"])
        return cls(value["correlation_id"], int(value["task_id"]), value["run_id"], value["outcome"], reason)

    def encode(self) -> bytes:
        error = None if self.error is None else dict(zip(("code", "message"), self.error, strict=True))
        return _encode(self, {"outcome": self.outcome, "error": error})


def headers_of(correlation_id: str, traceparent: str) -> dict[str, str]:
    """Message headers that identify the job for operators who inspect queues."""
    return {CORRELATION_ID: correlation_id, HEADER: traceparent}


def trace_in(headers: Mapping[str, Any]) -> str | None:
    """The traceparent in a message's headers, or None."""
    found = headers.get(HEADER)
    return read_trace(found) if isinstance(found, str) else None


def _encode(message: Request, more: Mapping[str, Any]) -> bytes:
    value = {
        "version": VERSION,
        "correlation_id": message.correlation_id,
        "task_id": str(message.task_id),
        "run_id": message.run_id,
        "sent_at": datetime.now(UTC).isoformat(timespec="microseconds"),
        **more,
    }
    return json.dumps(value).encode()


def _checked(body: bytes, validator: Draft202012Validator) -> dict[str, Any]:
    if len(body) > _MOST_BYTES:
        raise BadMessage(f"The body has {len(body):,} bytes; a message has at most {_MOST_BYTES:,}")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"The body is not JSON: {error}") from error
    if isinstance(value, dict) and "version" in value and value["version"] != VERSION:
        raise BadMessage(
            f"The message has version {str(value['version'])[:50]}; this program knows {VERSION}: start the "
            "matching version, then retry"
        )
    problem = best_match(validator.iter_errors(value))
    if problem is not None:
        place = ".".join(map(str, problem.absolute_path)) or "the body"
        raise BadMessage(f"{place}: {problem.message[:300]}")
    return dict(value)
