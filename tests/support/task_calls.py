"""Calls the task API as a client does, over GraphQL and REST."""

import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from server_process import ServerProcess, wait_until

ENDED = {"COMPLETED", "FAILED", "CANCELLED"}
CREATE = """mutation ($type: String!, $payload: JSON!, $priority: Int, $runAt: DateTime, $maxAttempts: Int,
    $correlationId: String, $callbackUrl: String, $key: String) {
  createTask(type: $type, payload: $payload, priority: $priority, runAt: $runAt, maxAttempts: $maxAttempts,
    correlationId: $correlationId, callbackUrl: $callbackUrl, idempotencyKey: $key) { id type status payload } }"""


class Answer(NamedTuple):
    """What a REST route answered; ``body`` is None when there was none."""

    status: int
    headers: http.client.HTTPMessage
    body: Any


def rest(
    server: ServerProcess, method: str, path: str, body: Any = None, /, raw: bytes | None = None, **headers: str
) -> Answer:
    """Send a request; ``body`` as JSON, ``raw`` as it is. Underscores in the names of headers become dashes."""
    sent = raw if raw is not None or body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if sent is not None:
        named.setdefault("Content-Type", "application/json")
    with contextlib.closing(server.client()) as client:
        client.connection.request(method, path, sent, named)
        answer = client.connection.getresponse()
        text = answer.read()
        is_json = "json" in answer.headers.get("Content-Type", "")
        return Answer(answer.status, answer.headers, json.loads(text) if is_json and text else None)


def problem(answer: Answer, status: int, code: str) -> Any:
    """The problem that an answer must be."""
    assert (answer.status, answer.body.get("code")) == (status, code), answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.body["type"] == "about:blank"
    assert answer.body["status"] == status
    assert answer.body["title"] == http.client.responses[status]
    assert answer.body["detail"]
    return answer.body


def execute(server: ServerProcess, document: str, variables: dict[str, Any] | None = None) -> Any:
    """The whole answer of a GraphQL document, errors included."""
    with contextlib.closing(server.client()) as client:
        return client.execute(document, variables)


def refusal(server: ServerProcess, document: str, variables: dict[str, Any] | None = None) -> tuple[str, str | None]:
    """The code and the field of the one error of a document."""
    [error] = execute(server, document, variables)["errors"]
    return error["extensions"]["code"], error["extensions"].get("field")


def create(server: ServerProcess, task_type: str, payload: Any, **options: Any) -> dict[str, Any]:
    """The answer of createTask."""
    task: dict[str, Any] = server.query(CREATE, {"type": task_type, "payload": payload, **options})["createTask"]
    return task


def find(server: ServerProcess, task_id: str, fields: str = "status") -> dict[str, Any]:
    """Some fields of a task."""
    task: dict[str, Any] = server.query(f'{{ task(id: "{task_id}") {{ {fields} }} }}')["task"]
    return task


def wait_ended(server: ServerProcess, task_id: str) -> str:
    """Wait until a task has ended; returns its status."""
    return str(wait_until(lambda: (status := find(server, task_id)["status"]) in ENDED and status))


@contextlib.contextmanager
def paused(server: ServerProcess, task_type: str) -> Iterator[None]:
    """No task of a type is started inside."""
    server.query(f'mutation {{ pauseTaskType(type: "{task_type}") {{ paused }} }}')
    try:
        yield
    finally:
        server.query(f'mutation {{ resumeTaskType(type: "{task_type}") {{ paused }} }}')


class Stream:
    """One open subscription."""

    def __init__(self, server: ServerProcess, document: str, variables: dict[str, Any] | None = None) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        body = json.dumps({"query": document, "variables": variables or {}}).encode()
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        self.connection.request("POST", "/graphql", body, headers)
        self._answer = self.connection.getresponse()
        self.status = self._answer.status

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()
        self.connection.close()

    def __iter__(self) -> Iterator[Any]:
        """The execution results, until the stream is complete."""
        name = ""
        while line := self._answer.readline().decode():
            if line.startswith("event: "):
                name = line[7:].strip()
            if name == "complete":
                return
            if line.startswith("data: "):
                yield json.loads(line[6:])
        raise AssertionError("the stream broke off before it was complete")
