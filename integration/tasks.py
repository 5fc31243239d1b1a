"""Tests tasks over GraphQL and REST; what a run makes has ended when the run ends."""

import secrets
from collections.abc import Callable
from typing import Any

from integration.api import Api, Reply, Skipped, expect

# The document of existing clients, exactly as they send it.
STRIPE_CUSTOMER = (
    'mutation { createStripeCustomerTask(email: "test@example.com", name: "Test") { id status type } }'
)

FAR_AWAY = "2999-12-31T00:00:00Z"
ENDED = {"COMPLETED", "FAILED", "CANCELLED"}
ROUTES = {"/api/entries", "/api/entries/{entry_id}", "/api/process", "/api/process/{correlation_id}"}
ROUTES |= {"/webhook", "/health", "/ready", "/metrics", "/openapi.json"}
TYPES = {
    "stripe_create_customer",
    "stripe_create_payment",
    "stripe_refund_payment",
    "entry",
    "process_products",
}
PRODUCTS = [{"title": "Lamp", "price": 12.5, "category": "Home"}, {"title": ""}]

UPDATES = """subscription ($id: ID!) { taskUpdated(id: $id) {
  id status stage progress result error { code message } } }"""
CANCEL = "mutation ($id: ID!) { cancelTask(id: $id) { id status } }"
PAYMENT = """mutation ($customer: String!) { createStripePaymentTask(
  amount: 1999, currency: "eur", customerId: $customer) { id } }"""
REFUND = (
    "mutation ($payment: String!) { createStripeRefundTask(paymentIntentId: $payment, amount: 500) { id } }"
)
SCHEDULE = (
    "mutation ($title: String!, $at: DateTime!) { createEntry(title: $title, runAt: $at) { id status } }"
)
CREATE = """mutation ($type: String!, $payload: JSON!, $key: String) {
  createTask(type: $type, payload: $payload, idempotencyKey: $key) { id status } }"""
PROCESS = "query ($id: String!) { process(correlationId: $id) { id type } }"
LISTED = """query ($search: String!) { tasks(type: "process_products", search: $search, first: 5) {
  totalCount nodes { id type status attempt } } }"""


class Desk:
    """The test tasks of one run: made with a tag of their own, and ended at the end."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.tag = f"itest{secrets.token_hex(5)}"
        self._made: set[str] = set()

    def title(self, name: str) -> str:
        """Return a title that only this run uses."""
        return f"{name} {self.tag}"

    def made(self, task: Any) -> str:
        """Remember a task of this run; return its id."""
        self._made.add(task["id"])
        return str(task["id"])

    def create(self, document: str, **variables: Any) -> Any:
        """Send a mutation that makes one task; return what it answers."""
        [task] = self.api.data(document, **variables).values()
        self.made(task)
        return task

    def followed(self, task_id: str) -> list[Any]:
        """Watch a task until it has ended; return what was told of it, the end last."""
        told = [event["taskUpdated"] for event in self.api.watch(UPDATES, id=task_id)]
        expect(told and told[-1]["status"] in ENDED, f"the stream ended before the task: {told}")
        return told

    def completed(self, task_id: str) -> Any:
        """Watch a task until it has ended, which must be as COMPLETED; return it."""
        task = self.followed(task_id)[-1]
        expect(task["status"] == "COMPLETED" and task["progress"] == 100, f"not COMPLETED: {task}")
        return task

    def clear(self) -> None:
        """End what this run made and still waits or runs."""
        for task_id in self._made:
            task = self.api.data("query ($id: ID!) { task(id: $id) { status } }", id=task_id)["task"]
            if task["status"] not in ENDED:
                self.api.answer(CANCEL, id=task_id)  # it may end by itself meanwhile, which is as good
                self.followed(task_id)

    def require_simulated_payments(self) -> None:
        """Raise Skipped where a payment would be a real one."""
        _, health = self.api.get("/health")
        stripe = health.get("integrations", {}).get("stripe", {}).get("status")
        if stripe != "simulated":
            raise Skipped(f"/health says that stripe is {stripe}, not simulated: nothing is paid there")


def the_exact_stripe_document(desk: Desk) -> None:
    desk.require_simulated_payments()
    task = desk.create(STRIPE_CUSTOMER)
    expected = {"id": task["id"], "status": "PENDING", "type": "stripe_create_customer"}
    expect(task == expected, f"{task}, not {expected}")
    result = desk.completed(task["id"])["result"]
    expect(result["simulated"] is True and result["customer_id"], f"not said to be simulated: {result}")


def a_payment_and_its_refund(desk: Desk) -> None:
    desk.require_simulated_payments()
    customer = desk.completed(desk.create(STRIPE_CUSTOMER)["id"])["result"]["customer_id"]
    paid = desk.completed(desk.create(PAYMENT, customer=customer)["id"])["result"]
    expect(paid["simulated"] is True and paid["status"] == "succeeded", f"not paid: {paid}")
    expect((paid["amount"], paid["customer_id"]) == (1999, customer), f"another payment: {paid}")
    refunded = desk.completed(desk.create(REFUND, payment=paid["payment_intent_id"])["id"])["result"]
    expect(refunded["simulated"] is True and refunded["amount"] == 500, f"another refund: {refunded}")


def a_process_over_rest(desk: Desk) -> None:
    key = desk.title("process")
    body = {"payload": {"products": PRODUCTS}}
    accepted = desk.api.rest("POST", "/api/process", body, Idempotency_Key=key)
    expect(accepted.status == 202, f"status {accepted.status}, not 202: {accepted.body}")
    correlation_id = accepted.body["correlation_id"]
    path = f"/api/process/{correlation_id}"
    expect(accepted.body["status_url"].endswith(path), f"status_url leads elsewhere: {accepted.body}")
    expect(accepted.headers.get("Location") == path, f"Location leads elsewhere: {accepted.headers}")
    desk.completed(desk.made(desk.api.data(PROCESS, id=correlation_id)["process"]))
    status, process = desk.api.get(path)
    expect(status == 200 and process["status"] == "COMPLETED", f"not COMPLETED: {process}")
    counts = (process["result"]["accepted"], process["result"]["refused"])
    expect(counts == (1, 1), f"accepted and refused are {counts}, not (1, 1)")
    again = desk.api.rest("POST", "/api/process", body, Idempotency_Key=key)
    expect(again.body["correlation_id"] == correlation_id, f"another process for the same key: {again.body}")


def an_entry_over_rest(desk: Desk) -> None:
    title = desk.title("Entry")
    created = desk.api.rest("POST", "/api/entries", {"title": title})
    expect(created.status == 201, f"status {created.status}, not 201: {created.body}")
    entry_id = desk.made(created.body)
    path = f"/api/entries/{entry_id}"
    expect(created.headers.get("Location") == path, f"Location leads elsewhere: {created.headers}")
    expect(
        (created.body["title"], created.body["status"]) == (title, "CREATED"), f"unexpected: {created.body}"
    )
    _, page = desk.api.get(f"/api/entries?limit=5&offset=0&search={desk.tag[:-1]}")
    expect([one["id"] for one in page["entries"]] == [entry_id], f"a search finds {page}")
    expect((page["total"], page["limit"], page["offset"]) == (1, 5, 0), f"the page has other figures: {page}")
    told = desk.followed(entry_id)
    expect(told[-1]["status"] == "COMPLETED", f"not COMPLETED: {told[-1]}")
    progress = [task["progress"] for task in told]
    expect(progress == sorted(progress), f"the progress falls: {progress}")
    entry = desk.api.get(path)[1]
    expect((entry["status"], entry["progress"]) == ("COMPLETED", 100), f"not COMPLETED: {entry}")
    stages = [stage["stage"] for stage in entry["result"]["stages"]]
    expect(stages == ["STAGE_1", "STAGE_2", "COMPLETED"], f"other stages: {stages}")
    moved_on = desk.api.rest("PATCH", path, {"status": "STAGE_1"})
    expect_problem(moved_on, 409, "MOVE_NOT_ALLOWED", "pointer", "#/status")


def a_scheduled_task_is_cancelled(desk: Desk) -> None:
    entry = desk.create(SCHEDULE, title=desk.title("Later"), at=FAR_AWAY)
    expect(entry["status"] == "CREATED", f"not CREATED: {entry}")
    cancelled = desk.api.data(CANCEL, id=entry["id"])["cancelTask"]
    expect(cancelled["status"] == "CANCELLED", f"not CANCELLED: {cancelled}")
    _, page = desk.api.get(f"/api/entries?status=CANCELLED&search=later%20{desk.tag}")
    expect([one["id"] for one in page["entries"]] == [entry["id"]], f"not listed as CANCELLED: {page}")
    expect_refusal(desk.api.answer(CANCEL, id=entry["id"]), "TASK_NOT_CANCELLABLE", "id")


def a_key_makes_one_task(desk: Desk) -> None:
    order = {"type": "process_products", "payload": {"products": PRODUCTS}, "key": desk.title("key")}
    first, again = desk.create(CREATE, **order), desk.create(CREATE, **order)
    expect(first["id"] == again["id"], f"two tasks for one key: {first} {again}")
    other = desk.api.answer(CREATE, **{**order, "payload": {"products": PRODUCTS[:1]}})
    expect_refusal(other, "IDEMPOTENCY_KEY_REUSED", "idempotencyKey")
    desk.completed(first["id"])


def tasks_are_listed(desk: Desk) -> None:
    products = [{"title": desk.title("Listed"), "price": 1}]
    task = desk.create(CREATE, type="process_products", payload={"products": products})
    desk.completed(task["id"])
    page = desk.api.data(LISTED, search=f"LISTED {desk.tag}")["tasks"]
    expected = {"id": task["id"], "type": "process_products", "status": "COMPLETED", "attempt": 1}
    expect(page == {"totalCount": 1, "nodes": [expected]}, f"a search finds {page}, not {expected}")
    types = desk.api.data("{ taskTypes { type paused counts { status count } } }")["taskTypes"]
    missing = TYPES - {one["type"] for one in types}
    expect(not missing, f"types are missing: {missing}")


def a_refused_payload_tells_its_field(desk: Desk) -> None:
    no_object = desk.api.answer(CREATE, type="process_products", payload={"products": [PRODUCTS[0], 1]})
    expect_refusal(no_object, "INVALID_PAYLOAD", "payload.products.1")
    unknown = desk.api.answer(CREATE, type=desk.tag, payload={})
    expect_refusal(unknown, "UNKNOWN_TASK_TYPE", "type")
    no_mail = STRIPE_CUSTOMER.replace("test@example.com", "nobody")
    expect_refusal(desk.api.answer(no_mail), "INVALID_PAYLOAD", "email")


def a_wrong_request_is_a_problem(desk: Desk) -> None:
    rest = desk.api.rest
    expect_problem(rest("POST", "/api/entries", {}), 422, "INVALID_REQUEST", "pointer", "#/title")
    expect_problem(rest("GET", "/api/entries?limit=0"), 422, "INVALID_REQUEST", "parameter", "limit")
    expect_problem(rest("GET", f"/api/entries/{desk.tag}"), 404, "TASK_NOT_FOUND")
    body = {"payload": {"products": PRODUCTS}, "callback_url": "ftp://example.com/"}
    expect_problem(rest("POST", "/api/process", body), 422, "INVALID_ARGUMENT", "pointer", "#/callback_url")
    expect_problem(rest("DELETE", "/api/entries"), 405, "METHOD_NOT_ALLOWED")


def the_openapi_document_lists_the_routes(desk: Desk) -> None:
    status, document = desk.api.get("/openapi.json")
    expect(status == 200 and document["openapi"].startswith("3.1"), f"no OpenAPI 3.1 document: {status}")
    missing = ROUTES - document["paths"].keys()
    expect(not missing, f"routes are missing: {missing}")


def expect_refusal(answer: dict[str, Any], code: str, field: str) -> None:
    """Raise Failed unless a GraphQL answer has one error with this code and field."""
    told = [
        (error["extensions"].get("code"), error["extensions"].get("field"))
        for error in answer.get("errors", [])
    ]
    expect(told == [(code, field)], f"{answer}, not one error with {code} and the field {field}")


def expect_problem(reply: Reply, status: int, code: str, kind: str = "", place: str = "") -> None:
    """Raise Failed unless a reply is an RFC 9457 problem with this status and code, at this place if one is given."""
    media = reply.headers.get("Content-Type")
    expect(media == "application/problem+json", f"{media}, not application/problem+json: {reply.body}")
    told = (reply.status, reply.body["status"], reply.body["code"])
    expect(told == (status, status, code), f"{told}, not {(status, status, code)}: {reply.body}")
    places = [error.get(kind) for error in reply.body.get("errors", [])]
    expect(not place or places == [place], f"{places}, not {place}: {reply.body}")


TASK_TESTS: tuple[Callable[[Desk], None], ...] = (
    the_exact_stripe_document,
    a_payment_and_its_refund,
    a_process_over_rest,
    an_entry_over_rest,
    a_scheduled_task_is_cancelled,
    a_key_makes_one_task,
    tasks_are_listed,
    a_refused_payload_tells_its_field,
    a_wrong_request_is_a_problem,
    the_openapi_document_lists_the_routes,
)
