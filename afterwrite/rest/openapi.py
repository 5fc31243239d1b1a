"""Describes every REST route in an OpenAPI document: https://spec.openapis.org/oas/v3.1.1.html."""

from collections.abc import Mapping
from typing import Any

from afterwrite.base.settings import VERSION
from afterwrite.rest import schemas
from afterwrite.rest.problems import PROBLEM_TYPE
from afterwrite.webhooks.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, TOLERANCE_SECONDS

Part = dict[str, Any]

_SCHEMAS: Mapping[str, schemas.Schema] = {
    "NewEntry": schemas.NEW_ENTRY,
    "EntryChange": schemas.ENTRY_CHANGE,
    "StorableJson": schemas.STORABLE_JSON,
    "Entry": schemas.ENTRY_ANSWER,
    "EntryPage": schemas.ENTRY_PAGE,
    "ProcessAccepted": schemas.PROCESS_ACCEPTED,
    "Process": schemas.PROCESS_ANSWER,
    "Received": schemas.RECEIVED,
    "ReceivedPage": schemas.RECEIVED_PAGE,
    "Problem": schemas.PROBLEM,
    "Health": schemas.HEALTH,
    "Ready": schemas.READY,
}
_PROBLEMS = {
    "400": "The body is not JSON",
    "401": "No key came with the request, or an unknown one; at `/webhook`, the signature is missing or wrong",
    "403": "The key's role is too small",
    "404": "There is no such thing",
    "409": "It cannot be done now: another worker holds the lock, or the move is not allowed",
    "413": "The body is too long",
    "415": "The body is not JSON by its headers",
    "421": "A server without keys was asked under a name that is not its machine's own",
    "422": "A value was refused; `errors` says where",
    "429": "Too many wrong keys came from this address, or more requests than RATE_LIMIT",
    "500": "An error of the server; `incident` leads to its log",
    "503": "Nothing was changed; send it again later",
}
_ACCESS = ("401", "403", "421", "429")
_BODY = ("400", "413", "415", "422", "500", "503")
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and request give the same answer, however often they are sent",
    "schema": schemas.IDEMPOTENCY_KEY,
}
_LOCATION = {"Location": {"description": "Where it is", "schema": {"type": "string"}}}


def openapi_document(process_payload: schemas.Schema, *, private_callbacks: bool = False) -> Part:
    """The document; JSON when it is written as such. ``process_payload`` is what a process works on."""
    callback_url = schemas.callback_url(private_callbacks=private_callbacks)
    new_process = schemas.new_process(process_payload, callback_url)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Afterwrite",
            "version": VERSION,
            "summary": "Durable tasks over REST",
            "description": "Products and all other tasks are in the GraphQL API at /graphql.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in ("entries", "processes", "webhooks", "operations")],
        # With a key, or without one where the server lets anonymous callers do it.
        "security": [{"key": []}, {}],
        "paths": {**_entries(), **_processes(), **_webhooks(), **_operations()},
        "components": {
            "schemas": {**_SCHEMAS, "NewProcess": new_process},
            "responses": _problem_answers(),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "What `dev.py key add` shows"}
            },
        },
    }


def _entries() -> Part:
    listed = [
        {"name": name, "in": "query", "schema": schema} for name, schema in schemas.ENTRY_PARAMETERS.items()
    ]
    entry_id = _path_parameter("entry_id", {"type": "string"})
    return {
        "/api/entries": {
            "get": _operation(
                "listEntries",
                "entries",
                "Entries, newest first",
                {"200": _answer("EntryPage", "A page"), **_refs("422", "500", "503")},
                parameters=listed,
            ),
            "post": _operation(
                "createEntry",
                "entries",
                "Create an entry; it goes by its stages after the answer",
                {"201": _answer("Entry", "The entry as it was accepted", _LOCATION), **_refs(*_BODY)},
                parameters=[_KEY],
                requestBody=_json_body("NewEntry", {"title": "Hello"}),
            ),
        },
        "/api/entries/{entry_id}": {
            "parameters": [entry_id],
            "get": _operation(
                "getEntry",
                "entries",
                "One entry",
                {"200": _answer("Entry", "The entry"), **_refs("404", "500", "503")},
            ),
            "patch": _operation(
                "changeEntry",
                "entries",
                "Move an entry to its next stage, or let it fail; internal",
                {"200": _answer("Entry", "The entry as it is now"), **_refs("404", "409", *_BODY)},
                requestBody=_json_body("EntryChange", {"status": "STAGE_1", "progress": 33}),
            ),
        },
    }


def _processes() -> Part:
    example = {"payload": {"products": [{"title": "Lamp", "price": 12.5, "category": "Home"}]}}
    return {
        "/api/process": {
            "post": _operation(
                "startProcess",
                "processes",
                "Check, enrich and sum up a list of products after the answer",
                {"202": _answer("ProcessAccepted", "Accepted", _LOCATION), **_refs(*_BODY)},
                parameters=[_KEY],
                requestBody=_json_body("NewProcess", example),
            )
        },
        "/api/process/{correlation_id}": {
            "parameters": [_path_parameter("correlation_id", {"type": "string"})],
            "get": _operation(
                "getProcess",
                "processes",
                "How a process stands",
                {"200": _answer("Process", "The process"), **_refs("404", "500", "503")},
            ),
        },
    }


def _webhooks() -> Part:
    headers = {
        ID_HEADER: "The id of the event, the same at every try",
        TIMESTAMP_HEADER: f"Seconds since 1970, no more than {TOLERANCE_SECONDS} from now",
        SIGNATURE_HEADER: "`v1=` and the HMAC-SHA256 in hexadecimal of the timestamp, a dot and the body",
    }
    signed = [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in headers.items()
    ]
    anything = {"required": True, "content": {"application/json": {"schema": {}}}}
    return {
        "/webhook": {
            "get": _operation(
                "listWebhooks",
                "webhooks",
                "The last hundred that came, newest first",
                {"200": _answer("ReceivedPage", "What came"), **_refs("500", "503")},
            ),
            "post": _operation(
                "receiveWebhook",
                "webhooks",
                "Receive a delivery and check its signature, for trying it out",
                {
                    "200": _answer("Received", "The signature is good"),
                    **_refs("400", "401", "413", "415", "500", "503"),
                },
                parameters=signed,
                requestBody=anything,
            ),
        }
    }


def _operations() -> Part:
    text = {
        "description": "The text format of Prometheus",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    document = {
        "description": "The document",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
    return {
        "/health": {
            "get": _operation(
                "health",
                "operations",
                "How the server is",
                {"200": _answer("Health", "It answers"), "503": _answer("Health", "Only a restart helps")},
            )
        },
        "/ready": {
            "get": _operation(
                "ready",
                "operations",
                "Whether requests may come",
                {
                    "200": _answer("Ready", "They may"),
                    "503": _answer("Ready", "They may not: it is stopping or stuck"),
                },
            )
        },
        "/metrics": {"get": _operation("metrics", "operations", "Figures for Prometheus", {"200": text})},
        "/openapi.json": {"get": _operation("openapi", "operations", "This document", {"200": document})},
    }


def _operation(name: str, tag: str, summary: str, responses: Part, **more: Any) -> Part:
    answers = dict(sorted({**responses, **_refs(*_ACCESS)}.items()))
    return {"operationId": name, "tags": [tag], "summary": summary, **more, "responses": answers}


def _path_parameter(name: str, schema: Part) -> Part:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _answer(schema: str, description: str, headers: Part | None = None) -> Part:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, **({"headers": headers} if headers else {}), "content": content}


def _json_body(schema: str, example: Any) -> Part:
    parts = [{"$ref": f"#/components/schemas/{name}"} for name in (schema, "StorableJson")]
    content = {"schema": {"allOf": parts}, "example": example}
    return {"required": True, "content": {"application/json": content}}


def _refs(*statuses: str) -> Part:
    return {status: {"$ref": f"#/components/responses/Problem{status}"} for status in sorted(statuses)}


def _problem_answers() -> Part:
    schema = {"$ref": "#/components/schemas/Problem"}
    made: Part = {}
    for status, description in _PROBLEMS.items():
        made[f"Problem{status}"] = {"description": description, "content": {PROBLEM_TYPE: {"schema": schema}}}
    for status in ("429", "503"):
        made[f"Problem{status}"]["headers"] = {
            "Retry-After": {"description": "After so many seconds", "schema": {"type": "integer"}}
        }
    return made
