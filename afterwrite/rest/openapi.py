"""The OpenAPI document of all REST routes: https://spec.openapis.org/oas/v3.1.1.html."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from graphene.utils.str_converters import to_camel_case

from afterwrite.base.own_command import own_command
from afterwrite.base.settings import VERSION
from afterwrite.resources.compiled import CompiledResource
from afterwrite.rest import schemas
from afterwrite.rest.entry_routes import entries
from afterwrite.rest.job_routes import processes
from afterwrite.rest.operation_routes import operations
from afterwrite.rest.problems import PROBLEM_TYPE
from afterwrite.rest.resource_routes import routes_of
from afterwrite.rest.resource_schemas import WRITE, schemas_of
from afterwrite.rest.route import Gives, Route, Takes
from afterwrite.rest.webhook_routes import webhooks
from afterwrite.rest.write_answers import writes

Part = dict[str, Any]
_VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")

ROUTES = (*entries, *processes, *webhooks, *operations)
"""The routes of every application."""
_PROBLEMS = {
    "400": "The body is not JSON, or If-Match is no ETag of a record",
    "401": "The key is missing or unknown; at `/webhook`, the signature is missing or wrong",
    "403": "The key's role does not allow this",
    "404": "Not found",
    "409": "Not possible now: another worker holds the lock, the move is not allowed, or the write FAILED",
    "412": "The record has another version than If-Match",
    "413": "The body is too long",
    "415": "The Content-Type is not JSON",
    "421": "A server without keys was reached under a host name other than its own machine's",
    "422": "A value is invalid; `errors` says where",
    "429": "Too many wrong keys from this address, or more requests than RATE_LIMIT",
    "500": "Internal server error; `incident` identifies it in the log",
    "503": "Nothing was changed; retry later",
}
_ACCESS = (401, 403, 421, 429)
_HEADERS = {
    "ETag": "The version of the record, for If-Match",
    "Link": "The pages with rel next and prev, where there are any",
    "Location": "Its URL",
    "Preference-Applied": "The preference that was followed",
}


def routes_with(resources: Mapping[str, CompiledResource]) -> Sequence[Route]:
    """The routes of an application with these resources."""
    if not resources:
        return ROUTES
    return [*(route for one in resources.values() for route in routes_of(one)), *writes, *ROUTES]


def openapi_document(
    process_payload: schemas.Schema, resources: Mapping[str, CompiledResource], *, private_callbacks: bool = False
) -> Part:
    """The document, ready for JSON. ``process_payload`` is the schema of a job's payload."""
    callback_url = schemas.callback_url(private_callbacks=private_callbacks)
    routes = routes_with(resources)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Afterwrite",
            "version": VERSION,
            "summary": "Resources and durable tasks over REST",
            "description": "The GraphQL API at /graphql has all of it too, live events, and other tasks.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        # A key, or none where the server allows anonymous callers.
        "security": [{"key": []}, {}],
        "paths": _paths(routes),
        "components": {
            "schemas": {**_resource_schemas(resources), **schemas.named(process_payload, callback_url)},
            "responses": _problem_answers(),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"The key that `{own_command('key add')}` prints",
                }
            },
        },
    }


def _resource_schemas(resources: Mapping[str, CompiledResource]) -> Part:
    made = {name: schema for one in resources.values() for name, schema in schemas_of(one).items()}
    return {**made, "Write": WRITE} if resources else made


def _paths(routes: Sequence[Route]) -> Part:
    paths: Part = {}
    for route in routes:
        item = paths.setdefault(_VARIABLE.sub(r"{\1}", route.path), {})
        item[route.method.lower()] = _operation(route)
        if names := _VARIABLE.findall(route.path):
            item["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": schemas.TEXT} for name in names
            ]
    return paths


def _operation(route: Route) -> Part:
    takes = route.takes
    listed: list[Part] = [{"name": name, "in": "query", "schema": schema} for name, schema in takes.query.items()]
    listed += [{"name": name, "in": "header", **described} for name, described in takes.headers.items()]
    answers = {str(status): _answer(status, gives) for status, gives in route.gives.items()}
    refused = {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in _refuses(route)}
    described: Part = {
        "operationId": to_camel_case(route.name),
        "tags": [route.tag],
        "summary": route.summary,
        "responses": dict(sorted({**answers, **refused}.items())),
    }
    if listed:
        described["parameters"] = listed
    if takes.body is not None:
        described["requestBody"] = _body(takes)
    return described


def _refuses(route: Route) -> set[int]:
    """The statuses of a route's problems."""
    found = {*_ACCESS, *route.refuses}
    if route.takes.body is not None:
        found |= {400, 413, 415}
    if route.takes.body or route.takes.query:
        found.add(422)
    return found | {404} if _VARIABLE.search(route.path) else found


def _answer(status: int, gives: Gives) -> Part:
    answer: Part = {"description": gives.description}
    if gives.schema is not None:
        content_type = "text/plain" if gives.schema is schemas.TEXT else "application/json"
        described = _ref(gives.schema) if isinstance(gives.schema, str) else gives.schema
        answer["content"] = {content_type: {"schema": described}}
    names = (*gives.headers, *(("Location",) if status in (201, 202) else ()))
    if names:
        answer["headers"] = {name: {"description": _HEADERS[name], "schema": schemas.TEXT} for name in names}
    return answer


def _body(takes: Takes) -> Part:
    content: Part = {"schema": {}}
    if takes.body:
        content = {"schema": {"allOf": [_ref(takes.body), _ref("StorableJson")]}}
    if takes.example is not None:
        content["example"] = takes.example
    return {"required": True, "content": dict.fromkeys(takes.media, content)}


def _ref(schema: str) -> Part:
    return {"$ref": f"#/components/schemas/{schema}"}


def _problem_answers() -> Part:
    schema = _ref("Problem")
    made: Part = {}
    for status, description in _PROBLEMS.items():
        made[f"Problem{status}"] = {"description": description, "content": {PROBLEM_TYPE: {"schema": schema}}}
    for status in ("429", "503"):
        made[f"Problem{status}"]["headers"] = {
            "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}
        }
    return made
