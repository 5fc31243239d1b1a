"""The OpenAPI document: sound, complete, and what the server really does."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from access_site import site_over
from declared import RESOURCES
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from server_process import ServerProcess, wait_until
from task_calls import Answer, paused, rest

from afterwrite.access.control import AccessControl
from afterwrite.access.roles import Role
from afterwrite.application.routes import create_app
from afterwrite.base.settings import Settings
from afterwrite.rest import schemas
from afterwrite.rest.checking import Check
from afterwrite.rest.openapi import openapi_document
from afterwrite.rest.problems import ProblemDetails
from afterwrite.service.service import Service
from afterwrite.tasks.workers.entry import EntryWorker
from afterwrite.tasks.workers.process_products import PROCESS_PRODUCTS, ProcessProductsWorker
from app import application

PAYLOAD = ProcessProductsWorker.types[PROCESS_PRODUCTS]
DOCUMENT = json.loads(json.dumps(openapi_document(PAYLOAD, RESOURCES)))
NOT_REST = {"graphql", "root", "static"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose answers are held against the document."""
    server = ServerProcess(
        tmp_path_factory.mktemp("openapi") / "data", STAGE_SECONDS="0", MAX_BODY_BYTES="10000"
    ).start()
    yield server
    server.kill()


def operation(method: str, path: str) -> tuple[str, Any]:
    """The described path that a real one belongs to, and the operation there."""
    plain = path.partition("?")[0]
    for described, item in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", described), plain) and method.lower() in item:
            return described, item[method.lower()]
    raise AssertionError(f"{method} {path} is not described")


def check(method: str, path: str, answer: Answer) -> Answer:
    """The answer, which must be one that the document describes for that request."""
    _, described = operation(method, path)
    response = described["responses"].get(str(answer.status))
    assert response is not None, f"{method} {path} answered {answer.status}, which is not described"
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    for name in set(response.get("headers", ())) - {"Link"}:  # that one is there where there is another page
        assert name in answer.headers
    if "content" not in response:
        assert "Content-Type" not in answer.headers
        return answer
    kind = answer.headers["Content-Type"].partition(";")[0]
    assert kind in response["content"], f"{method} {path} answered {kind}, which is not described"
    if "json" in kind:
        problems = [error.message for error in validator(response["content"][kind]["schema"]).iter_errors(answer.body)]
        assert problems == []
    return answer


def validator(schema: Any) -> Draft202012Validator:
    """A validator of a schema in the document."""
    resource = Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
    registry = Registry().with_resource("urn:document", resource)
    text = json.dumps(schema).replace('"#/', '"urn:document#/')
    return Draft202012Validator(json.loads(text), registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_the_document_is_sound() -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_route_of_the_application_is_described_and_no_other(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    service = Service(settings, RESOURCES)
    service.start()
    try:
        rules = list(create_app(service, AccessControl(settings), application.schema).url_map.iter_rules())
    finally:
        service.stop()
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in rules
        if rule.endpoint not in NOT_REST and not rule.endpoint.startswith("console.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    methods = {"get", "post", "patch", "put", "delete"}
    described = {(path, name) for path, item in DOCUMENT["paths"].items() for name in item if name in methods}
    assert described == routes


def test_what_is_described_is_what_checks_the_requests() -> None:
    assert openapi_document(PAYLOAD, RESOURCES)["components"]["schemas"]["NewEntry"] is EntryWorker.types["entry"]
    process = openapi_document(PAYLOAD, RESOURCES)["components"]["schemas"]["NewProcess"]
    assert process["properties"]["payload"] is PAYLOAD
    taken = {schema for _, _, schema in _bodies()}
    assert taken == {"NewEntry", "EntryChange", "NewProcess", "NewProduct", "ProductChange"}
    assert openapi_document(PAYLOAD, RESOURCES)["components"]["schemas"]["EntryChange"] is schemas.ENTRY_CHANGE


def test_every_example_fits_its_schema() -> None:
    for method, path, name in _bodies():
        content = DOCUMENT["paths"][path][method]["requestBody"]["content"]["application/json"]
        if "example" not in content:
            continue
        example = content["example"]
        Check(DOCUMENT["components"]["schemas"][name]).check(example)
        with pytest.raises(ProblemDetails):
            Check(DOCUMENT["components"]["schemas"][name]).check({"unknown": 1})


def _bodies() -> list[tuple[str, str, str]]:
    found = []
    for path, item in DOCUMENT["paths"].items():
        for method, described in item.items():
            if isinstance(described, Mapping) and "requestBody" in described:
                schema = described["requestBody"]["content"]["application/json"]["schema"]
                if "allOf" in schema:
                    found.append((method, path, schema["allOf"][0]["$ref"].rpartition("/")[2]))
    return found


Ask = Callable[..., Answer]


@pytest.fixture
def ask(api: ServerProcess) -> Ask:
    """Sends a request and holds the answer against the document."""

    def send(method: str, path: str, *body: Any, **more: Any) -> Answer:
        return check(method, path, rest(api, method, path, *body, **more))

    return send


def test_answers_about_entries_are_as_described(api: ServerProcess, ask: Ask) -> None:
    with paused(api, "entry"):
        entry = ask("POST", "/api/entries", {"title": "Described"}).body
        path = f"/api/entries/{entry['id']}"
        assert ask("GET", path).body == entry
        assert ask("PATCH", path, {"status": "STAGE_1", "progress": 33}).status == 200
        assert ask("PATCH", path, {"status": "COMPLETED"}).status == 409
        assert ask("PATCH", path, {"status": "FAILED", "error": "x"}).status == 200
    other = ask("POST", "/api/entries", {"title": "Goes on"}, Idempotency_Key="described").body
    wait_until(lambda: ask("GET", f"/api/entries/{other['id']}").body["status"] == "COMPLETED")
    assert len(ask("GET", "/api/entries?limit=500").body["entries"]) == 2
    assert ask("GET", "/api/entries?limit=0").status == 422
    assert ask("GET", "/api/entries/1").status == 404
    assert ask("PATCH", "/api/entries/1", {"progress": 1}).status == 404
    assert ask("PATCH", path, {}).status == 422


@pytest.mark.parametrize(("product", "end"), [({"title": "Lamp", "price": 12.5}, "COMPLETED"), ({}, "FAILED")])
def test_answers_about_processes_are_as_described(ask: Ask, product: dict[str, Any], end: str) -> None:
    accepted = ask("POST", "/api/process", {"payload": {"products": [product]}})
    assert accepted.status == 202
    wait_until(lambda: ask("GET", accepted.headers["Location"]).body["status"] == end)
    assert ask("GET", "/api/process/x").status == 404


def test_answers_about_webhooks_are_as_described(ask: Ask) -> None:
    assert ask("POST", "/webhook", {"a": 1}).status == 401
    assert len(ask("GET", "/webhook").body["received"]) == 1


def test_refused_bodies_are_answered_as_described(ask: Ask) -> None:
    for method, path, _ in _bodies():
        place = re.sub(r"{\w+}", "1", path)
        assert ask(method.upper(), place, raw=b"{").status == 400
        assert ask(method.upper(), place, raw=b"x", Content_Type="text/plain").status == 415
        assert ask(method.upper(), place, raw=b" " * 10_000 + b"1").status == 413
        assert ask(method.upper(), place, [1]).status == 422


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/openapi.json"])
def test_answers_of_the_operations_are_as_described(ask: Ask, path: str) -> None:
    assert ask("GET", path).status == 200


def test_the_server_shows_the_document(api: ServerProcess) -> None:
    assert rest(api, "GET", "/openapi.json").body == DOCUMENT


def test_what_access_answers_is_described(tmp_path: Path) -> None:
    asked = (("GET", "/api/entries"), ("POST", "/api/process"), ("GET", "/metrics"), ("GET", "/health"))
    with site_over(tmp_path / "data", rate_limit="4/hour") as site:
        seen = set()
        for role in Role:
            for method, path in asked * 2:
                answer = site.send(method, path, role, **({"json": {}} if method == "POST" else {}))
                body = answer.get_json(silent=True, force=True) if answer.is_json else None
                check(method, path, Answer(answer.status_code, answer.headers, body))  # type: ignore[arg-type]
                seen.add(answer.status_code)
    assert seen >= {200, 401, 403, 429}
    with site_over(tmp_path / "open", api_keys="") as site:
        answer = site.send("GET", "/health", environ_overrides={"HTTP_HOST": "evil.test"})
        check("GET", "/health", Answer(answer.status_code, answer.headers, answer.get_json(force=True)))  # type: ignore[arg-type]
