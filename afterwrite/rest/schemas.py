"""JSON Schemas of REST requests and responses, used for validation and in the OpenAPI document.

The exception are callback URLs, which ``tasks.requests.accept`` checks: it accepts more spellings than a pattern can,
and says why it refuses one.
"""

from collections.abc import Mapping
from typing import Any

from afterwrite.reads.connections import NAME_MAX, PAGE_DEFAULT, PAGE_MAX, SEARCH_MAX
from afterwrite.storage.received import KEPT
from afterwrite.tasks.entries import EntryStatus
from afterwrite.tasks.registry import TEXT_MAX, URL_MAX
from afterwrite.tasks.task import TaskStatus
from afterwrite.tasks.workers.entry import ENTRY, EntryWorker
from afterwrite.webhooks.callback_pattern import callback_pattern
from afterwrite.webhooks.signing import Verdict

Schema = Mapping[str, Any]
OFFSET_MAX = 10**9
ERROR_MAX = 1_000
TEXT: Schema = {"type": "string"}

# -- requests --------------------------------------------------------------------------------------------------
# The ``title`` of a string with a pattern describes the pattern in words.

SEARCHED: Schema = {
    "type": "string",
    # The characters that ``text.find_unusable`` finds; tabs and line ends are allowed.
    "pattern": r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]*$",
    "title": "a text without control characters",
}
IDEMPOTENCY_KEY: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": TEXT_MAX,
    "pattern": r"^[!-~]([ -~]*[!-~])?(?![\s\S])",
    "title": f"1 to {TEXT_MAX} printable ASCII characters",
}
STORABLE_JSON: Schema = {
    "description": "Any JSON without U+0000 in a string or a name; checked while the body is decoded",
    "pattern": r"^[^\u0000]*$",
    "items": {"$ref": "#/components/schemas/StorableJson"},
    "propertyNames": {"pattern": r"^[^\u0000]*$"},
    "additionalProperties": {"$ref": "#/components/schemas/StorableJson"},
}

_PROGRESS: Schema = {"type": "integer", "minimum": 0, "maximum": 100}
_MOVES = [EntryStatus.CREATED, EntryStatus.STAGE_1, EntryStatus.STAGE_2, EntryStatus.COMPLETED, EntryStatus.FAILED]
ENTRY_CHANGE: Schema = {
    "type": "object",
    "properties": {
        "status": {"enum": [status.value for status in _MOVES], "description": "The current one changes nothing"},
        "progress": {**_PROGRESS, "description": "Must not decrease; default: that of the status"},
        "lockedBy": {
            "type": "string",
            "minLength": 1,
            "maxLength": TEXT_MAX,
            "description": "The requesting worker; only the holder of the lock may change a locked entry",
        },
        "error": {
            "type": "string",
            "minLength": 1,
            "maxLength": ERROR_MAX,
            "description": "Why it failed; only with the status FAILED",
        },
    },
    "anyOf": [{"required": ["status"]}, {"required": ["progress"]}],
    "if": {"properties": {"status": {"const": EntryStatus.COMPLETED.value}}, "required": ["status"]},
    "then": {"properties": {"progress": {"const": 100}}},
    "dependentSchemas": {
        "error": {"properties": {"status": {"const": EntryStatus.FAILED.value}}, "required": ["status"]}
    },
    "additionalProperties": False,
}


ANY_CALLBACK_URL: Schema = {"type": ["string", "null"]}
OBJECT: Schema = {"type": "object"}


def callback_url(*, private_callbacks: bool) -> Schema:
    """A callback URL as the OpenAPI document describes it."""
    return {
        **ANY_CALLBACK_URL,
        "format": "uri",
        "maxLength": URL_MAX,
        "pattern": callback_pattern(allow_private=private_callbacks),
        "title": "an http or https URL of a host, without a user name"
        if private_callbacks
        else "an http or https URL of a public host, without a user name",
        "description": "Receives the outcome as a POST",
    }


ENTRY_PARAMETERS: Mapping[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT},
    "offset": {"type": "integer", "minimum": 0, "maximum": OFFSET_MAX, "default": 0},
    "status": {"type": "string", "enum": [status.value for status in EntryStatus]},
    "search": {**SEARCHED, "maxLength": SEARCH_MAX, "description": "Substring of the title, case-insensitive"},
    "by": {**SEARCHED, "minLength": 1, "maxLength": NAME_MAX, "description": "The name of the creator's key"},
}

# -- responses -------------------------------------------------------------------------------------------------


def whole(properties: Mapping[str, Any]) -> dict[str, Any]:
    """An object whose members are all required."""
    return {"type": "object", "required": list(properties), "properties": properties}


def or_null(schema: Schema) -> dict[str, Any]:
    """A schema that null fits too."""
    made = dict(schema)
    if "type" in made:
        made["type"] = [*([made["type"]] if isinstance(made["type"], str) else made["type"]), "null"]
    if "enum" in made:
        made["enum"] = [*made["enum"], None]
    return made


_COUNT: Schema = {"type": "integer", "minimum": 0}
ID: Schema = {"type": "string", "pattern": "^[0-9]+$", "description": "An integer of up to 63 bits, as a string"}
TIME: Schema = {"type": "string", "format": "date-time"}
_STATUS: Schema = {"enum": [status.value for status in TaskStatus]}
_TROUBLE: Schema = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"enum": ["ok", "degraded"]}, "trouble": or_null(TEXT)},
}

_ANSWERS: Mapping[str, Schema] = {
    "Entry": whole(
        {
            "id": ID,
            "title": TEXT,
            "status": {"enum": [status.value for status in EntryStatus]},
            "progress": _PROGRESS,
            "result": {
                "type": ["object", "null"],
                "properties": {
                    "completedAt": or_null(TIME),
                    "stages": {"type": "array", "items": {"type": "object"}},
                    "error": whole({"code": TEXT, "message": TEXT}),
                },
            },
            "lockedBy": or_null(TEXT),
            "lockedAt": or_null(TIME),
            "createdAt": TIME,
            "updatedAt": TIME,
            "createdBy": {**or_null(TEXT), "description": "The name of the creator's key"},
        }
    ),
    "EntryPage": whole(
        {
            "entries": {"type": "array", "items": {"$ref": "#/components/schemas/Entry"}},
            "total": {**_COUNT, "description": "Entries that match the filters"},
            "limit": _COUNT,
            "offset": _COUNT,
        }
    ),
    "ProcessAccepted": whole(
        {"correlation_id": {"type": "string", "format": "uuid"}, "status_url": TEXT, "status": _STATUS}
    ),
    "Process": whole(
        {
            "correlation_id": TEXT,
            "status": _STATUS,
            "stage": or_null(TEXT),
            "progress": _PROGRESS,
            "result": {"description": "The result so far; any JSON"},
            "error": or_null(whole({"code": TEXT, "message": TEXT})),
            "created_at": TIME,
            "finished_at": or_null(TIME),
        }
    ),
    "Received": whole(
        {
            "id": ID,
            "received_at": TIME,
            "event_id": or_null(TEXT),
            "correlation_id": or_null(TEXT),
            "timestamp": {"type": ["integer", "null"], "description": "The sender's timestamp, in Unix seconds"},
            "verdict": {"enum": [verdict.value for verdict in Verdict]},
            "body": {"type": "string", "description": "The first 64 KiB"},
        }
    ),
    "ReceivedPage": whole(
        {"received": {"type": "array", "maxItems": KEPT, "items": {"$ref": "#/components/schemas/Received"}}}
    ),
    "Problem": {
        "type": "object",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "What happened, the value and the next step"},
            "code": {"type": "string", "description": "For programs, such as INVALID_REQUEST"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["detail"],
                    "properties": {
                        "pointer": {"type": "string", "description": "JSON Pointer into the body, such as #/title"},
                        "parameter": TEXT,
                        "header": TEXT,
                        "detail": TEXT,
                    },
                },
            },
            "incident": {"type": "string", "description": "Identifies the error in the log"},
            "writeId": {"type": "string", "description": "The receipt of the write that FAILED"},
        },
    },
    "Health": {
        "type": "object",
        "required": ["status", "version"],
        "description": "Parts and integrations require the role read; queue and troubles require admin",
        "properties": {
            "status": {"enum": ["ok", "degraded"]},
            "version": TEXT,
            "queue": {"type": "object"},
            "database": _TROUBLE,
            "journal": _TROUBLE,
            "tasks": _TROUBLE,
            "integrations": {"type": "object", "description": "The services behind the workers"},
            "stack": {
                "type": "object",
                "description": "RabbitMQ, Redis and Airflow, if Airflow runs jobs; troubles require the role admin",
                "additionalProperties": {
                    "type": "object",
                    "required": ["status"],
                    "properties": {"status": {"enum": ["ok", "away"]}, "trouble": or_null(TEXT)},
                },
            },
        },
    },
    "Ready": {
        "type": "object",
        "required": ["ready"],
        "properties": {"ready": {"type": "boolean"}, "reason": {**TEXT, "description": "Why it is not ready"}},
    },
}


def named(process_payload: Schema, callback_url: Schema = ANY_CALLBACK_URL) -> Mapping[str, Schema]:
    """Every schema that a route or another schema refers to by name; ``process_payload`` is that of a job's worker."""
    return {
        "NewEntry": EntryWorker.types[ENTRY],
        "EntryChange": ENTRY_CHANGE,
        "NewProcess": {
            "type": "object",
            "required": ["payload"],
            "properties": {"payload": process_payload, "callback_url": callback_url},
            "additionalProperties": False,
        },
        "StorableJson": STORABLE_JSON,
        **_ANSWERS,
    }
