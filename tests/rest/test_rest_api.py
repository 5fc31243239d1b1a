"""The REST API of entries, processes and webhooks, over HTTP against a real server."""

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from databases import Database
from server_process import ServerProcess, wait_until
from task_calls import Answer, paused, problem, rest, wait_ended

from afterwrite.webhooks.signing import sign

SECRET = "a secret of the tests"
LAMP = {"products": [{"title": "Lamp", "price": 12.5}]}


@pytest.fixture(scope="module")
def api(module_database: Database) -> Iterator[ServerProcess]:
    """One server for all tests of this file; each test works on entries of its own."""
    server = ServerProcess.on(module_database, STAGE_SECONDS="0", WEBHOOK_SECRET=SECRET).start()
    yield server
    server.kill()


def create(api: ServerProcess, title: str) -> dict[str, Any]:
    """A new entry."""
    answer = rest(api, "POST", "/api/entries", {"title": title})
    assert answer.status == 201, answer.body
    entry: dict[str, Any] = answer.body
    return entry


def change(api: ServerProcess, entry: dict[str, Any], **fields: Any) -> Answer:
    """PATCH an entry."""
    return rest(api, "PATCH", f"/api/entries/{entry['id']}", fields)


# -- entries ---------------------------------------------------------------------------------------------------


def test_an_entry_is_created_and_goes_by_its_stages(api: ServerProcess) -> None:
    answer = rest(api, "POST", "/api/entries", {"title": "Hello"})
    assert answer.status == 201
    entry = answer.body
    assert answer.headers["Location"] == f"/api/entries/{entry['id']}"
    assert list(entry) == [
        "id", "title", "status", "progress", "result", "lockedBy", "lockedAt", "createdAt", "updatedAt", "createdBy"
    ]  # fmt: skip
    assert (entry["title"], entry["status"], entry["progress"]) == ("Hello", "CREATED", 0)
    assert isinstance(entry["id"], str)
    assert datetime.fromisoformat(entry["createdAt"]).utcoffset() is not None

    def finished() -> Any:
        found = rest(api, "GET", answer.headers["Location"]).body
        return found if found["status"] == "COMPLETED" else None

    done = wait_until(finished)
    assert (done["progress"], done["lockedBy"], done["lockedAt"]) == (100, None, None)
    assert done["result"]["completedAt"] >= entry["createdAt"]
    assert done["updatedAt"] > entry["updatedAt"]


def test_entries_are_listed_newest_first_filtered_and_searched(api: ServerProcess) -> None:
    with paused(api, "entry"):
        ids = [create(api, f"Tapir {number}")["id"] for number in range(3)]
        page = rest(api, "GET", "/api/entries?search=TAPIR&limit=2&offset=1").body
        assert [entry["id"] for entry in page["entries"]] == ids[1::-1]
        assert (page["total"], page["limit"], page["offset"]) == (3, 2, 1)
        assert rest(api, "GET", "/api/entries?search=tapir&status=CREATED").body["total"] == 3
        assert rest(api, "GET", "/api/entries?search=tapir&status=COMPLETED").body["total"] == 0
        assert rest(api, "GET", "/api/entries?search=tapir&offset=1000000000").body["entries"] == []
        assert rest(api, "GET", "/api/entries?search=%25").body["total"] == 0
    whole = rest(api, "GET", "/api/entries").body
    assert (whole["limit"], whole["offset"]) == (50, 0)
    wait_until(lambda: rest(api, "GET", "/api/entries?search=tapir&status=COMPLETED").body["total"] == 3)


def test_a_task_of_another_type_is_no_entry(api: ServerProcess) -> None:
    document = 'mutation { createStripeRefundTask(paymentIntentId: "pi_1") { id } }'
    task = api.query(document)["createStripeRefundTask"]
    problem(rest(api, "GET", f"/api/entries/{task['id']}"), 404, "TASK_NOT_FOUND")
    wait_ended(api, task["id"])
    problem(change(api, task, status="STAGE_1"), 404, "TASK_NOT_FOUND")


# -- moves from outside ----------------------------------------------------------------------------------------


def test_an_entry_can_be_brought_to_its_end_from_outside(api: ServerProcess) -> None:
    with paused(api, "entry"):
        entry = create(api, "Moved")
        first = change(api, entry, status="STAGE_1", progress=33).body
        assert (first["status"], first["progress"], first["lockedBy"]) == ("STAGE_1", 33, None)
        assert change(api, entry, progress=40).body["progress"] == 40
        assert change(api, entry, status="STAGE_2", progress=66.0).body["progress"] == 66
        done = change(api, entry, status="COMPLETED", progress=100, lockedBy="someone").body
        assert (done["status"], done["progress"]) == ("COMPLETED", 100)
        assert [stage["worker"] for stage in done["result"]["stages"]] == ["outside", "outside", "someone"]
        assert rest(api, "GET", f"/api/entries/{entry['id']}").body == done


def test_a_move_that_is_not_allowed_changes_nothing(api: ServerProcess) -> None:
    with paused(api, "entry"):
        entry = create(api, "Stays")
        for fields in ({"status": "STAGE_2"}, {"status": "COMPLETED"}, {"status": "CREATED"}, {"progress": 0}):
            problem(change(api, entry, **fields), 409, "MOVE_NOT_ALLOWED")
        assert rest(api, "GET", f"/api/entries/{entry['id']}").body == entry
        change(api, entry, status="FAILED", error="no paper")
        refused = problem(change(api, entry, status="STAGE_1"), 409, "MOVE_NOT_ALLOWED")
        assert "has ended" in refused["detail"]
    failed = rest(api, "GET", f"/api/entries/{entry['id']}").body
    assert (failed["status"], failed["result"]["error"]["message"]) == ("FAILED", "no paper")


def test_while_a_worker_holds_the_lock_only_it_may_change_the_entry(make_server: Callable[..., ServerProcess]) -> None:
    api = make_server(STAGE_SECONDS="3600").start()
    entry = create(api, "Locked")
    held = wait_until(lambda: (found := rest(api, "GET", f"/api/entries/{entry['id']}").body)["lockedBy"] and found)
    refused = problem(change(api, entry, status="STAGE_1"), 409, "TASK_LOCKED")
    assert held["lockedBy"] in refused["detail"]
    problem(change(api, entry, status="STAGE_1", lockedBy="another"), 409, "TASK_LOCKED")
    moved = change(api, entry, status="STAGE_1", lockedBy=held["lockedBy"]).body
    assert (moved["status"], moved["progress"]) == ("STAGE_1", 33)


def test_when_many_ask_for_one_move_one_gets_it(api: ServerProcess) -> None:
    with paused(api, "entry"):
        entry = create(api, "Wanted")
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: change(api, entry, status="STAGE_1").status, range(16)))
    assert sorted(answers) == [200] + [409] * 15


# -- idempotency -----------------------------------------------------------------------------------------------


def test_the_same_key_gives_the_same_entry_and_another_body_is_refused(api: ServerProcess) -> None:
    def send(title: str) -> Answer:
        return rest(api, "POST", "/api/entries", {"title": title}, Idempotency_Key="entry-1")

    with ThreadPoolExecutor(4) as pool:
        assert len({answer.body["id"] for answer in pool.map(send, ["Keyed"] * 8)}) == 1
    refused = problem(send("Other"), 422, "IDEMPOTENCY_KEY_REUSED")
    assert [error["header"] for error in refused["errors"]] == ["Idempotency-Key"]


# -- processes -------------------------------------------------------------------------------------------------


def test_a_process_is_accepted_and_its_status_can_be_asked(api: ServerProcess) -> None:
    accepted = rest(api, "POST", "/api/process", {"payload": LAMP, "callback_url": None})
    assert accepted.status == 202
    number = accepted.body["correlation_id"]
    assert str(uuid.UUID(number)) == number
    assert accepted.body["status"] == "PENDING"
    assert accepted.body["status_url"] == f"{api.url}/api/process/{number}"
    assert accepted.headers["Location"] == f"/api/process/{number}"
    done = _ended(api, number)
    assert (done["status"], done["progress"], done["error"]) == ("COMPLETED", 100, None)
    assert done["result"]["accepted"] == 1
    assert done["correlation_id"] == number


def test_a_process_reads_products_as_a_product_file_is_read_and_tells_what_it_does_not_read(api: ServerProcess) -> None:
    products = [
        {"name": "Lamp", "price": "1.234,50 EUR", "category": {"name": "Home", "id": 3}, "ratingRate": 4.5, "sku": 1},
        {"title": "Desk", "price": "12,50", "ratingCount": 7, "image": {"src": "HTTPS://x.org/a"}, "sku": 2},
        {"title": "Chair", "price": "1,234"},
    ]
    accepted = rest(api, "POST", "/api/process", {"payload": {"products": products}})
    result = _ended(api, accepted.body["correlation_id"])["result"]
    assert [(found["title"], found["price"], found["category"], found["rating"]) for found in result["products"]] == [
        ("Lamp", "1234.50", "home", {"rate": 4.5, "count": None}),
        ("Desk", "12.50", None, {"rate": None, "count": 7}),
    ]
    assert (result["ignoredNames"], result["currencies"]) == (["sku", "category.id"], ["EUR"])
    [refusal] = result["refusals"]
    # As the other prices show, the comma is the decimal sign.
    assert refusal["errors"][0]["message"] == "price is 1.234: give at most two decimals"
    accepted = rest(api, "POST", "/api/process", {"payload": {"products": products[2:]}})
    assert "is 1234 or 1.234" in str(_ended(api, accepted.body["correlation_id"])["error"])
    accepted = rest(api, "POST", "/api/process", {"payload": {"products": products[2:], "decimal": "point"}})
    result = _ended(api, accepted.body["correlation_id"])["result"]
    assert (result["products"][0]["price"], result["decimal"]) == ("1234.00", "point")
    wrong = rest(api, "POST", "/api/process", {"payload": {"products": products, "decimal": "dot"}})
    [error] = problem(wrong, 422, "INVALID_REQUEST")["errors"]
    assert (error["pointer"], "give one of point, comma" in error["detail"]) == ("#/payload/decimal", True)


def test_a_process_that_fails_says_why(api: ServerProcess) -> None:
    accepted = rest(api, "POST", "/api/process", {"payload": {"products": [{"title": ""}]}})
    done = _ended(api, accepted.body["correlation_id"])
    assert (done["status"], done["error"]["code"]) == ("FAILED", "NO_VALID_PRODUCT")


def test_the_same_key_gives_the_same_process(api: ServerProcess) -> None:
    def send(payload: Any) -> Answer:
        return rest(api, "POST", "/api/process", {"payload": payload}, Idempotency_Key="process-1")

    assert send(LAMP).body["correlation_id"] == send(LAMP).body["correlation_id"]
    problem(send({"products": [{}]}), 422, "IDEMPOTENCY_KEY_REUSED")


def test_a_payload_past_its_limit_is_refused(make_server: Callable[..., ServerProcess]) -> None:
    api = make_server(TASK_PAYLOAD_MAX_BYTES="1000").start()
    body = {"payload": {"products": [{"title": "x" * 1000}]}}
    refused = problem(rest(api, "POST", "/api/process", body), 422, "INVALID_PAYLOAD")
    assert [error["pointer"] for error in refused["errors"]] == ["#/payload"]


def test_a_process_that_does_not_exist_is_not_found(api: ServerProcess) -> None:
    for number in (str(uuid.uuid4()), "nonsense", "%00", "x" * 500):
        problem(rest(api, "GET", f"/api/process/{number}"), 404, "TASK_NOT_FOUND")


def _ended(api: ServerProcess, correlation_id: str) -> Any:
    def ended() -> Any:
        found = rest(api, "GET", f"/api/process/{correlation_id}").body
        return found if found["finished_at"] else None

    return wait_until(ended)


def test_the_outcome_of_a_process_is_posted_to_its_callback_url(make_server: Callable[..., ServerProcess]) -> None:
    api = make_server(WEBHOOK_ALLOW_PRIVATE="on").start()
    body = {"payload": LAMP, "callback_url": f"{api.url}/webhook"}
    number = rest(api, "POST", "/api/process", body).body["correlation_id"]
    [received] = wait_until(lambda: rest(api, "GET", "/webhook").body["received"])
    assert (received["verdict"], received["correlation_id"]) == ("valid", number)
    assert rest(api, "GET", f"/api/process/{number}").body["status"] == "COMPLETED"


# -- webhooks --------------------------------------------------------------------------------------------------


def test_a_signed_webhook_is_accepted_and_an_unsigned_one_is_not(api: ServerProcess) -> None:
    now, raw = int(time.time()), b'{"correlation_id": "c-1"}'
    signed = {"Webhook_Id": "evt_1", "Webhook_Timestamp": str(now), "Webhook_Signature": sign(SECRET, now, raw)}
    good = rest(api, "POST", "/webhook", raw=raw, **signed)
    assert (good.status, good.body["verdict"], good.body["correlation_id"]) == (200, "valid", "c-1")
    wrong = rest(api, "POST", "/webhook", raw=raw + b" ", **signed)
    problem(wrong, 401, "WRONG_SIGNATURE")
    assert "WWW-Authenticate" in wrong.headers
    problem(rest(api, "POST", "/webhook", raw=raw), 401, "MISSING_HEADER")
    newest = rest(api, "GET", "/webhook").body["received"]
    assert [one["verdict"] for one in newest[:3]] == ["missing header", "wrong signature", "valid"]
    assert newest[2] == good.body
