"""The GraphQL API of tasks, over HTTP against a real server."""

import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from databases import Database
from server_process import ServerProcess, wait_until
from task_calls import CREATE, create, execute, find, paused, refusal, rest, wait_ended

CUSTOMER = {"email": "test@example.com", "name": "Test"}
BAD_PRODUCTS = {"products": [{"title": ""}]}
FIELDS = """id type status progress stage payload result error { code message } attempt maxAttempts priority runAt
    correlationId callbackUrl lockedBy lockedAt createdAt updatedAt startedAt finishedAt"""


@pytest.fixture(scope="module")
def api(module_database: Database) -> Iterator[ServerProcess]:
    """One server for all tests of this file; each test works on tasks of its own."""
    server = ServerProcess.on(module_database, STAGE_SECONDS="0").start()
    yield server
    server.kill()


def test_the_document_of_the_issue_works_as_it_stands(api: ServerProcess) -> None:
    answer = api.query(
        'mutation { createStripeCustomerTask(email: "test@example.com", name: "Test") { id status type } }'
    )["createStripeCustomerTask"]
    assert (answer["status"], answer["type"]) == ("PENDING", "stripe_create_customer")
    assert wait_ended(api, answer["id"]) == "COMPLETED"


def test_a_task_tells_everything_about_itself(api: ServerProcess) -> None:
    with paused(api, "stripe_create_customer"):
        number = create(
            api,
            "stripe_create_customer",
            CUSTOMER,
            priority=7,
            maxAttempts=2,
            correlationId="order 7",
            callbackUrl="https://example.com/hook",
        )["id"]
        waiting = find(api, number, FIELDS)
    assert (waiting["status"], waiting["progress"], waiting["attempt"]) == ("PENDING", 0, 0)
    assert (waiting["result"], waiting["lockedBy"], waiting["startedAt"], waiting["finishedAt"]) == (None,) * 4
    assert wait_ended(api, number) == "COMPLETED"
    task = find(api, number, FIELDS)
    assert task["payload"] == CUSTOMER
    assert task["result"]["simulated"] is True
    assert (task["progress"], task["attempt"], task["maxAttempts"], task["priority"]) == (100, 1, 2, 7)
    assert (task["correlationId"], task["callbackUrl"]) == ("order 7", "https://example.com/hook")
    assert (task["error"], task["lockedBy"], task["lockedAt"]) == (None, None, None)
    times = [datetime.fromisoformat(task[name]) for name in ("createdAt", "startedAt", "finishedAt", "updatedAt")]
    assert times == sorted(times)
    assert task["runAt"] == task["createdAt"]


@pytest.mark.parametrize(
    "document",
    [
        'mutation { createTask(type: "process_products", payload: {products: [{a: 1, b: -2.5, c: "x", '
        "d: null, e: [true, false], f: {}}]}) { payload } }",
        'mutation ($p: [JSON!]) { createTask(type: "process_products", payload: {products: $p}) { payload } }',
        'mutation ($all: JSON!) { createTask(type: "process_products", payload: $all) { payload } }',
    ],
)
def test_a_payload_may_be_a_literal_a_variable_or_both(api: ServerProcess, document: str) -> None:
    product = {"a": 1, "b": -2.5, "c": "x", "d": None, "e": [True, False], "f": {}}
    variables = {"p": [product], "all": {"products": [product]}}
    task = api.query(document, variables)["createTask"]
    assert task["payload"] == {"products": [product]}


@pytest.mark.parametrize(
    ("literal", "part"),
    [
        ("{a: FOO}", "is not a JSON value"),
        ("{a: 1e999}", "too large"),
        ("{a: %s}" % ("9" * 301), "301 digits"),
        ('{a: "\\u0000"}', "NUL"),
    ],
)
def test_a_literal_that_json_cannot_hold_is_refused(api: ServerProcess, literal: str, part: str) -> None:
    document = f'mutation {{ createTask(type: "process_products", payload: {{products: [{literal}]}}) {{ id }} }}'
    [error] = execute(api, document)["errors"]
    assert part in error["message"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "nothing"}, ("UNKNOWN_TASK_TYPE", "type")),
        ({"payload": {**CUSTOMER, "email": "none"}}, ("INVALID_PAYLOAD", "payload.email")),
        ({"payload": {}}, ("INVALID_PAYLOAD", "payload.email")),
        ({"payload": [1]}, ("INVALID_PAYLOAD", "payload")),
        ({"payload": {**CUSTOMER, "name": "nul\0"}}, ("INVALID_PAYLOAD", "payload")),
        ({"payload": {**CUSTOMER, "name": "x" * 300_000}}, ("INVALID_PAYLOAD", "payload")),
        ({"priority": 1001}, ("INVALID_ARGUMENT", "priority")),
        ({"maxAttempts": 0}, ("INVALID_ARGUMENT", "maxAttempts")),
        ({"maxAttempts": 101}, ("INVALID_ARGUMENT", "maxAttempts")),
        ({"runAt": "2030-01-01T00:00:00"}, ("INVALID_ARGUMENT", "runAt")),
        ({"runAt": "1969-12-31T23:59:59Z"}, ("INVALID_ARGUMENT", "runAt")),
        ({"runAt": "0001-01-01T00:00:00+14:00"}, ("INVALID_ARGUMENT", "runAt")),
        ({"runAt": "soon"}, ("BAD_USER_INPUT", None)),
        ({"correlationId": ""}, ("INVALID_ARGUMENT", "correlationId")),
        ({"correlationId": "x" * 256}, ("INVALID_ARGUMENT", "correlationId")),
        ({"key": ""}, ("INVALID_ARGUMENT", "idempotencyKey")),
        ({"key": "a\nb"}, ("INVALID_ARGUMENT", "idempotencyKey")),
        ({"callbackUrl": "ftp://example.com/"}, ("INVALID_ARGUMENT", "callbackUrl")),
        ({"callbackUrl": "http://127.0.0.1:5000/webhook"}, ("INVALID_ARGUMENT", "callbackUrl")),
        ({"callbackUrl": "http://[::1]/"}, ("INVALID_ARGUMENT", "callbackUrl")),
        ({"callbackUrl": "nonsense"}, ("INVALID_ARGUMENT", "callbackUrl")),
    ],
)
def test_what_is_refused_says_which_argument_and_nothing_is_kept(
    api: ServerProcess, given: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    count = "{ tasks { totalCount } }"
    before = api.query(count)
    variables = {"type": "stripe_create_customer", "payload": CUSTOMER, **given}
    assert refusal(api, CREATE, variables) == expected
    assert api.query(count) == before


@pytest.mark.parametrize(
    ("mutation", "field"),
    [
        ('createStripeCustomerTask(email: "none", name: "x")', "email"),
        ('createStripePaymentTask(amount: 0, currency: "eur", customerId: "cus_1")', "amount"),
        ('createStripePaymentTask(amount: 1, currency: "euro", customerId: "cus_1")', "currency"),
        ('createStripePaymentTask(amount: 1, currency: "eur", customerId: "1")', "customerId"),
        (
            'createStripePaymentTask(amount: 1, currency: "eur", customerId: "cus_1", paymentMethod: "x")',
            "paymentMethod",
        ),
        ('createStripeRefundTask(paymentIntentId: "x")', "paymentIntentId"),
        ('createEntry(title: " ")', "title"),
    ],
)
def test_a_refused_argument_is_named_as_the_mutation_names_it(api: ServerProcess, mutation: str, field: str) -> None:
    [error] = execute(api, f"mutation {{ {mutation} {{ id }} }}")["errors"]
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("INVALID_PAYLOAD", field)
    assert error["message"].startswith(f"{field}: ")


def test_a_customer_is_charged_and_refunded(api: ServerProcess) -> None:
    def ended(mutation: str) -> Any:
        task = api.query(f"mutation {{ made: {mutation} {{ id type }} }}")["made"]
        assert wait_ended(api, task["id"]) == "COMPLETED"
        return find(api, task["id"], "result")["result"]

    customer = ended('createStripeCustomerTask(email: "a@example.com", name: "A")')["customer_id"]
    payment = ended(
        f'createStripePaymentTask(amount: 1250, currency: "eur", customerId: "{customer}", description: "Lamp")'
    )
    assert (payment["amount"], payment["currency"]) == (1250, "eur")
    refund = ended(f'createStripeRefundTask(paymentIntentId: "{payment["payment_intent_id"]}", amount: 250)')
    assert (refund["payment_intent_id"], refund["amount"]) == (payment["payment_intent_id"], 250)


def test_a_task_waits_for_its_time_and_can_be_cancelled_and_tried_again(api: ServerProcess) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    number = create(api, "stripe_create_customer", CUSTOMER, runAt=later)["id"]
    assert find(api, number, "status runAt") == {"status": "PENDING", "runAt": later}
    cancel = f'mutation {{ cancelTask(id: "{number}") {{ status finishedAt }} }}'
    cancelled = api.query(cancel)["cancelTask"]
    assert cancelled["status"] == "CANCELLED"
    assert cancelled["finishedAt"] is not None
    assert refusal(api, cancel) == ("TASK_NOT_CANCELLABLE", "id")
    retry = f'mutation {{ retryTask(id: "{number}") {{ status finishedAt }} }}'
    assert api.query(retry)["retryTask"] == {"status": "PENDING", "finishedAt": None}
    assert wait_ended(api, number) == "COMPLETED"
    assert refusal(api, retry) == ("TASK_NOT_RETRYABLE", "id")
    assert refusal(api, cancel) == ("TASK_NOT_CANCELLABLE", "id")


def test_a_failed_task_keeps_its_reason(api: ServerProcess) -> None:
    number = create(api, "process_products", BAD_PRODUCTS)["id"]
    assert wait_ended(api, number) == "FAILED"
    assert find(api, number, "error { code }")["error"] == {"code": "NO_VALID_PRODUCT"}


@pytest.mark.parametrize("name", ["cancelTask", "retryTask"])
def test_a_task_that_does_not_exist_is_refused(api: ServerProcess, name: str) -> None:
    assert refusal(api, f'mutation {{ {name}(id: "12") {{ id }} }}') == ("TASK_NOT_FOUND", "id")
    assert refusal(api, f'mutation {{ {name}(id: "x") {{ id }} }}')[0] == "BAD_USER_INPUT"


def test_the_same_key_gives_the_same_task_and_other_arguments_are_refused(api: ServerProcess) -> None:
    def send(name: str) -> Any:
        return create(api, "stripe_create_customer", {**CUSTOMER, "name": name}, key="once")["id"]

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(send, ["Keyed"] * 8))) == 1
    variables = {"type": "stripe_create_customer", "payload": CUSTOMER, "key": "once"}
    assert refusal(api, CREATE, variables) == ("IDEMPOTENCY_KEY_REUSED", "idempotencyKey")


def test_tasks_are_filtered_searched_and_paged_newest_first(api: ServerProcess) -> None:
    numbers = [
        create(api, "stripe_create_customer", {"email": f"paged{i}@example.com", "name": "Quagga 50%"})["id"]
        for i in range(5)
    ]
    for number in numbers:
        wait_ended(api, number)
    document = """query ($after: String) { tasks(search: "QUAGGA 50%", type: "stripe_create_customer",
        status: COMPLETED, first: 2, after: $after) { totalCount nodes { id } edges { cursor node { id } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
    met: list[str] = []
    after = None
    for number in range(3):
        page = api.query(document, {"after": after})["tasks"]
        assert page["totalCount"] == 5
        assert [edge["node"] for edge in page["edges"]] == page["nodes"]
        assert (page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"]) == (number < 2, number > 0)
        met += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert met == numbers[::-1]
    nothing = api.query('{ tasks(type: "nothing") { totalCount nodes { id } pageInfo { endCursor } } }')["tasks"]
    assert nothing == {"totalCount": 0, "nodes": [], "pageInfo": {"endCursor": None}}


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ("{ tasks(first: 501) { totalCount } }", "first is 501: give 0 to 500"),
        ("{ entries(first: -1) { totalCount } }", "first is -1: give 0 to 500"),
        ('{ tasks(after: "x") { totalCount } }', "after is 'x': give a whole number"),
        ('{ tasks(search: "%s") { totalCount } }' % ("x" * 201), "200 are the limit"),
        ('{ task(id: "x") { id } }', "id is 'x': give a whole number"),
        ('{ entry(id: "-1") { id } }', "id is '-1': give a whole number"),
    ],
)
def test_a_query_that_asks_wrong_is_told_what_to_do(api: ServerProcess, document: str, part: str) -> None:
    [error] = execute(api, document)["errors"]
    assert part in error["message"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


def test_a_type_tells_its_counts_and_durations_and_can_be_paused(api: ServerProcess) -> None:
    name = "stripe_refund_payment"
    mutation = 'mutation { createStripeRefundTask(paymentIntentId: "pi_1") { id } }'
    number = api.query(mutation)["createStripeRefundTask"]["id"]
    wait_ended(api, number)
    with paused(api, name):
        waiting = api.query(mutation)["createStripeRefundTask"]["id"]
        [found] = [kind for kind in _types(api) if kind["type"] == name]
        assert found["paused"] is True
        assert found["concurrency"] >= 1
        assert {row["status"]: row["count"] for row in found["counts"]}["PENDING"] == 1
        assert 0 < found["p50DurationMs"] <= found["p95DurationMs"]
        assert find(api, waiting)["status"] == "PENDING"
    assert wait_ended(api, waiting) == "COMPLETED"
    assert [kind["type"] for kind in _types(api)] == sorted(kind["type"] for kind in _types(api))
    assert refusal(api, 'mutation { pauseTaskType(type: "x") { type } }') == ("UNKNOWN_TASK_TYPE", "type")


def _types(api: ServerProcess) -> Any:
    document = "{ taskTypes { type counts { status count } paused concurrency running p50DurationMs p95DurationMs } }"
    return api.query(document)["taskTypes"]


def test_an_entry_goes_by_its_stages_and_is_listed(api: ServerProcess) -> None:
    with paused(api, "entry"):
        made = api.query('mutation { createEntry(title: "Okapi") { id title status progress result } }')
        entry = made["createEntry"]
        assert (entry["title"], entry["status"], entry["progress"], entry["result"]) == ("Okapi", "CREATED", 0, None)
        listed = api.query('{ entries(status: CREATED, search: "okapi") { totalCount nodes { id } } }')["entries"]
        assert listed == {"totalCount": 1, "nodes": [{"id": entry["id"]}]}
        assert api.query('{ entries(status: STAGE_1, search: "okapi") { totalCount } }')["entries"]["totalCount"] == 0
    assert wait_ended(api, entry["id"]) == "COMPLETED"
    done = api.query(f"{{ entry(id: {entry['id']}) {{ status progress result lockedBy lockedAt updatedAt }} }}")
    assert (done["entry"]["status"], done["entry"]["progress"], done["entry"]["lockedBy"]) == ("COMPLETED", 100, None)
    assert [stage["stage"] for stage in done["entry"]["result"]["stages"]] == ["STAGE_1", "STAGE_2", "COMPLETED"]
    other = create(api, "stripe_create_customer", CUSTOMER)["id"]
    assert api.query(f"{{ entry(id: {other}) {{ id }} }}") == {"entry": None}


def test_a_process_is_found_by_its_correlation_id(api: ServerProcess) -> None:
    document = """mutation ($key: String) { createProcess(payload: {products: [{title: "Lamp", price: 12.5}]},
        idempotencyKey: $key) { id correlationId type } }"""
    made, again = (api.query(document, {"key": "process 1"})["createProcess"] for _ in range(2))
    assert made == again
    assert made["type"] == "process_products"
    assert wait_ended(api, made["id"]) == "COMPLETED"
    found = api.query(f'{{ process(correlationId: "{made["correlationId"]}") {{ id result }} }}')["process"]
    assert (found["id"], found["result"]["accepted"]) == (made["id"], 1)
    assert api.query('{ process(correlationId: "none") { id } }') == {"process": None}
    other = api.query(document)["createProcess"]["correlationId"]
    assert other != made["correlationId"]


def test_a_full_queue_refuses_and_takes_tasks_again_later(make_server: Callable[..., ServerProcess]) -> None:
    api = make_server(TASKS_MAX="2").start()
    with paused(api, "entry"):
        make = 'mutation { createEntry(title: "x") { id } }'
        api.query(make)
        number = api.query(make)["createEntry"]["id"]
        assert refusal(api, make) == ("QUEUE_FULL", None)
        answer = rest(api, "POST", "/api/entries", {"title": "x"})
        assert (answer.status, answer.body["code"]) == (503, "QUEUE_FULL")
        assert int(answer.headers["Retry-After"]) > 0
        api.query(f'mutation {{ cancelTask(id: "{number}") {{ id }} }}')
        wait_until(lambda: "errors" not in execute(api, make))


def test_the_answer_of_a_payload_is_the_json_that_was_sent(api: ServerProcess) -> None:
    product = {"title": "Ünï\u2028 🦓", "price": 1, "big": 2**70, "deep": [[[{"a": [1.5, None]}]]]}
    with contextlib.closing(api.client()) as client:
        answer = client.execute(CREATE, {"type": "process_products", "payload": {"products": [product]}})
    assert json.loads(json.dumps(answer["data"]["createTask"]["payload"])) == {"products": [product]}
