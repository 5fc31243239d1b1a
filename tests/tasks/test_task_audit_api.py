"""Who made which task and who did what to it, as GraphQL and REST take and tell it."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from databases import Database
from declared import RESOURCES
from flask import Flask, request
from flask.testing import FlaskClient
from graphql import graphql_sync

from afterwrite.access.caller import Sender, set_sender
from afterwrite.access.roles import Caller, Role
from afterwrite.rest import rest_api
from afterwrite.service.context import Context
from afterwrite.service.service import Service
from afterwrite.tasks.listing import TaskFilter
from app import application

ANN, BEN = "ann", "ben"


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    """A running service over an empty database, with entries paused."""
    made = Service(database.settings(idempotency_hours=1), RESOURCES)
    made.start()
    made.tasks.pause("entry", ANN)
    yield made
    made.stop()


def ask(service: Service, document: str, by: str | None = None, **variables: Any) -> Any:
    """The data that a caller is answered over GraphQL."""
    context = Context(
        service.records, service.queue, service.tasks, time.monotonic() + 9, lambda: "http://shop.test", by=by
    )
    answer = graphql_sync(application.schema, document, context_value=context, variable_values=variables)
    assert answer.errors is None, answer.errors
    return answer.data


def client(service: Service, by: str | None) -> FlaskClient:
    """A caller over REST."""
    app = Flask(__name__)
    app.before_request(lambda: set_sender(request, Sender(Caller(by, Role.ADMIN))))
    app.register_blueprint(rest_api(service))
    return app.test_client()


def test_graphql_tells_who_made_a_task_and_who_did_what(service: Service) -> None:
    entry = ask(service, 'mutation { createEntry(title: "x") { id createdBy } }', ANN)["createEntry"]
    assert entry["createdBy"] == ANN
    process = """mutation { createProcess(payload: {products: [{title: "a", price: 1}]}) { createdBy } }"""
    assert ask(service, process, BEN)["createProcess"] == {"createdBy": BEN}
    change = "mutation ($id: ID!) { cancelTask(id: $id) { createdBy actions { action by } } }"
    assert ask(service, change, BEN, id=entry["id"])["cancelTask"] == {
        "createdBy": ANN,
        "actions": [{"action": "CANCEL", "by": BEN}],
    }
    change = "mutation ($id: ID!) { retryTask(id: $id) { actions { action by at taskId type } } }"
    actions = ask(service, change, ANN, id=entry["id"])["retryTask"]["actions"]
    assert [(action["action"], action["by"]) for action in actions] == [("CANCEL", BEN), ("RETRY", ANN)]
    found = ask(
        service,
        """query ($id: ID!) { tasks(by: "ann") { totalCount nodes { id } } entry(id: $id) { createdBy } }""",
        id=entry["id"],
    )
    assert found["tasks"] == {"totalCount": 1, "nodes": [{"id": entry["id"]}]}
    assert found["entry"] == {"createdBy": ANN}


def test_graphql_tells_who_paused_a_type_and_pages_through_all_actions(service: Service) -> None:
    types = "{ taskTypes { type paused pausedBy pausedAt } }"
    paused = {report["type"]: report for report in ask(service, types)["taskTypes"]}
    assert (paused["entry"]["paused"], paused["entry"]["pausedBy"]) == (True, ANN)
    assert paused["entry"]["pausedAt"] is not None
    assert paused["process_products"] == {
        "type": "process_products",
        "paused": False,
        "pausedBy": None,
        "pausedAt": None,
    }
    ask(service, 'mutation { resumeTaskType(type: "entry") { pausedBy } }', BEN)
    ask(service, 'mutation { pauseTaskType(type: "entry") { pausedBy } }', BEN)
    page = """query ($after: String, $by: String) { taskActions(first: 2, after: $after, by: $by) {
      edges { cursor node { id action by type taskId } } nodes { action } pageInfo { hasNextPage endCursor } } }"""
    first = ask(service, page)["taskActions"]
    assert [edge["node"]["action"] for edge in first["edges"]] == ["PAUSE", "RESUME"]
    assert first["pageInfo"]["hasNextPage"] is True
    second = ask(service, page, after=first["pageInfo"]["endCursor"])["taskActions"]
    assert [(edge["node"]["action"], edge["node"]["by"]) for edge in second["edges"]] == [("PAUSE", ANN)]
    assert second["pageInfo"]["hasNextPage"] is False
    mine = ask(service, '{ taskActions(by: "ann") { nodes { action } } }')["taskActions"]
    assert mine["nodes"] == [{"action": "PAUSE"}]


def test_graphql_prunes_and_says_how_many(service: Service, database: Database) -> None:
    entry = ask(service, 'mutation { createEntry(title: "x") { id } }')["createEntry"]
    ask(service, "mutation ($id: ID!) { cancelTask(id: $id) { id } }", id=entry["id"])
    database.rows("UPDATE tasks SET finished_at_us = 5")
    prune = "mutation ($before: DateTime!) { pruneTasks(endedBefore: $before) { pruned } }"
    assert ask(service, prune, ANN, before="2001-01-01T00:00:00Z")["pruneTasks"] == {"pruned": 1}
    latest = ask(service, "{ taskActions(first: 1) { nodes { action by type taskId } } }")["taskActions"]
    assert latest["nodes"] == [{"action": "PRUNE", "by": ANN, "type": None, "taskId": None}]


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("2001-01-01T00:00:00", "endedBefore is 2001-01-01T00:00:00, which has no time zone"),
        ("9999-12-31T23:59:59Z", "tasks are kept for 1 h after their end"),
    ],
)
def test_graphql_says_why_it_does_not_prune(service: Service, before: str, message: str) -> None:
    context = Context(service.records, service.queue, service.tasks, 0.0, lambda: "")
    document = f'mutation {{ pruneTasks(endedBefore: "{before}") {{ pruned }} }}'
    answer = graphql_sync(application.schema, document, context_value=context)
    assert answer.errors is not None
    assert message in str(answer.errors[0])


def test_rest_records_who_made_an_entry_who_changed_it_and_who_started_a_process(service: Service) -> None:
    made = client(service, ANN).post("/api/entries", json={"title": "x"}).get_json()
    assert made["createdBy"] == ANN
    path = f"/api/entries/{made['id']}"
    assert client(service, BEN).patch(path, json={"status": "STAGE_1"}).status_code == 200
    assert client(service, BEN).patch(path, json={"status": "COMPLETED"}).status_code == 409
    assert client(service, None).get(path).get_json()["createdBy"] == ANN
    [action] = service.tasks.actions(int(made["id"]))
    assert (action.action, action.by) == ("EDIT", BEN)
    body = {"payload": {"products": [{"title": "a", "price": 1}]}}
    accepted = client(service, BEN).post("/api/process", json=body).get_json()
    process = service.tasks.find_correlated(accepted["correlation_id"])
    assert process is not None
    assert process.created_by == BEN


def test_a_delivery_has_the_name_of_who_made_the_task_it_tells_of(service: Service) -> None:
    document = """mutation { createTask(type: "entry", payload: {title: "x"}, callbackUrl: "http://example.com/") {
      id } }"""
    task = ask(service, document, ANN)["createTask"]
    ask(service, "mutation ($id: ID!) { cancelTask(id: $id) { id } }", BEN, id=task["id"])
    [delivery] = service.tasks.newest(TaskFilter(type="webhook_delivery"), None, 9)
    assert delivery.created_by == ANN
