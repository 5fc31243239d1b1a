"""Smoke test of a running server over HTTP: change the methods of ``Checks`` when your API changes.

Options: --verbose prints each request and response, --debug also the end of the server's log. Every product of a run
has the run's tag in its title. Even after a failure, these products are deleted and all tasks ended; existing data is
never touched. Nothing sleeps: checks wait with `createProductSync`, `afterWrite` and subscriptions.
"""

import argparse
import http.client
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import SkipTest
from urllib.parse import urlsplit

from afterwrite.base.settings import SettingsError, from_environment
from afterwrite.base.utf8 import use_utf8

TIMEOUT_SECONDS, WATCH_SECONDS, LOG_LINES, PAGE_MAX = 30, 60, 50, 500
ROUTES = {"/api/entries", "/api/entries/{entry_id}", "/api/process", "/api/process/{correlation_id}"}
ROUTES |= {"/webhook", "/health", "/ready", "/metrics", "/openapi.json"}
JOB = {"products": [{"title": "Lamp", "price": 12.5, "category": "Home"}, {"title": ""}]}
WRONG_FIELDS = (("title", " ", "REQUIRED"), ("price", -1, "OUT_OF_RANGE"), ("image", "x", "INVALID_URL"))
ANSWER = "success message errors { field code } write { id operation status productId retryOf }"
RECEIPT = "status product { title } error { code } acceptedAt settledAt"
PRODUCT = "id title price category rating createdAt updatedAt version"
PAGE = "totalCount edges { node { id } } pageInfo { hasNextPage startCursor endCursor }"


def main(arguments: Sequence[str]) -> int:
    """Check the server; return 0 if no check failed and 1 if one did."""
    log: Path | None = None
    begin = time.perf_counter()
    try:
        options = read_arguments(arguments)
        log = options.log_file if options.debug else None
        came = run_all(Checks(options.url.rstrip("/"), options.key, options.verbose or options.debug), log)
    except (SettingsError, ConnectionError) as error:
        print(f"FAIL  {error}")
        return 1
    finally:
        show_log(log)
    passed, failed, skipped = (came.count(word) for word in ("ok", "FAIL", "skip"))
    also = f", {skipped} skipped" if skipped else ""
    print(f"{passed} passed, {failed} failed{also} in {time.perf_counter() - begin:.1f} s")
    return 1 if failed else 0


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; the settings give the defaults, as for the server. Raises SettingsError."""
    settings, key = from_environment(), os.environ.get("API_KEY", "").strip()
    add = (parser := argparse.ArgumentParser(description="Test a running server over HTTP.")).add_argument
    add("--url", default=f"http://127.0.0.1:{settings.port}", help="address of the server (%(default)s)")
    add("--key", default=key, help="a key with the role admin, where the server wants one (API_KEY)")
    add("--verbose", action="store_true", help="show each request and response")
    add("--debug", action="store_true", help="as --verbose, and the server's last log lines")
    add("--log-file", type=Path, default=settings.log_path, help="the server's log (%(default)s)")
    return parser.parse_args(arguments)


def run_all(checks: "Checks", log: Path | None) -> list[str]:
    """Run every check, then delete the products and end the tasks; return each outcome."""
    came: list[str] = []
    try:
        came += [run_check(getattr(checks, name), log) for name in vars(Checks) if name[0] != "_"]
    finally:
        came += [run_check(check, log) for check in (checks.no_product_is_left, checks.no_task_is_left)]
    return came


def run_check(check: Callable[[], None], log: Path | None) -> str:
    """Run one check and print its line; return "ok", "FAIL" or "skip"."""
    begin, came, why = time.perf_counter(), "ok", ""
    try:
        check()
    except (AssertionError, SkipTest) as error:
        came, why = "skip" if isinstance(error, SkipTest) else "FAIL", f": {error}"
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        came, why = "FAIL", f": an answer of another shape: {error!r}"
    took = f"({(time.perf_counter() - begin) * 1_000:.0f} ms)"
    print(f"{came:<5} {check.__name__.replace('_', ' ')} {took}{why}", flush=True)
    show_log(log if came == "FAIL" else None)
    return came


def show_log(path: Path | None) -> None:
    """Print the last lines of the server's log, if there is a path."""
    if path is None:
        return
    print(f"--- SERVER LOG: the last {LOG_LINES} lines of {path} ---")
    try:
        print("\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]))
    except OSError as error:
        print(f"the log cannot be read ({error}): give its path with --log-file")


class Run:
    """One run against one server: sends requests, prints them on demand, and tracks what it created."""

    def __init__(self, url: str, key: str, shows: bool) -> None:
        """Raises ConnectionError if ``url`` is not the address of a server."""
        self._url, self._shows, parts = url, shows, urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConnectionError(f"{url!r} is not the address of a server: give --url http://HOST:PORT")
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._base = parts.netloc, parts.path
        self._headers = {"Content-Type": "application/json", "Connection": "close"}
        self._headers |= {"Authorization": f"Bearer {key}"} if key else {}
        self.tag, self.task_ids = f"itest{secrets.token_hex(5)}", set[str]()  # the tag is in every title

    def rest(self, method: str, path: str, body: Any = None, **headers: str) -> SimpleNamespace:
        """Send a request; return the status, the headers and the body, parsed if it is JSON."""
        with self._sent(method, path, body, {"Accept": "application/json", **headers}) as response:
            answer: Any = response.read().decode()
        if response.headers.get_content_type().endswith("json"):
            answer = json.loads(answer)
        self._show(f"--- RESPONSE ---\n{response.status} {response.reason}", answer)
        if response.status in (401, 403):
            needs = "The tests need a key with the role admin: give --key KEY, or set API_KEY"
            raise ConnectionError(f"{self._url} answered {response.status}: {answer}. {needs}")
        return SimpleNamespace(status=response.status, headers=response.headers, body=answer)

    def graphql(self, document: str) -> Any:
        """Send a GraphQL document; return the whole answer, including errors."""
        return self.rest("POST", "/graphql", {"query": document}).body

    def watch(self, field: str, selection: str, record_id: str) -> Iterator[Any]:
        """Subscribe to a write or a task; yield each state, until the stream is complete."""
        document = one_field("subscription", field, selection, {"id": record_id})
        deadline = time.monotonic() + WATCH_SECONDS  # the server sends a keep-alive every few seconds
        with self._sent("POST", "/graphql", {"query": document}, {"Accept": "text/event-stream"}) as stream:
            self._show(f"--- RESPONSE ---\n{stream.status} {stream.reason}")
            for line in stream:
                expect(time.monotonic() < deadline, f"not complete after {WATCH_SECONDS} s")
                name, _, value = line.decode().strip().partition(": ")
                if (name, value) == ("event", "complete"):
                    return
                if name == "data" and value:
                    self._show("--- EVENT ---", event := json.loads(value))
                    yield only(event)
        raise AssertionError(f"the stream broke off before it was complete, status {stream.status}")

    @contextmanager
    def _sent(self, method: str, path: str, body: Any, more: Any) -> Iterator[http.client.HTTPResponse]:
        self._show(f"--- REQUEST ---\n{method} {self._url}{path}", body)
        text = None if body is None else json.dumps(body)
        connection = self._kind(self._host, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, self._base + path, text, self._headers | more)
            with connection.getresponse() as response:
                yield response
        except (OSError, http.client.HTTPException) as error:
            advice = "start the server, or give --url http://HOST:PORT"
            raise ConnectionError(f"{self._url} does not answer ({error}): {advice}") from error

    def _show(self, title: str, body: Any = None) -> None:
        if self._shows:
            print(title if body is None else f"{title}\n{json.dumps(body, indent=2, ensure_ascii=False)}")

    def query(self, field: str, selection: str, **arguments: Any) -> Any:
        """Query one root field; AssertionError if the answer has errors."""
        return only(self.graphql(one_field("query", field, selection, arguments)))

    def mutate(self, field: str, selection: str = ANSWER, **arguments: Any) -> Any:
        """Run one mutation; AssertionError if the answer has errors."""
        return only(self.graphql(one_field("mutation", field, selection, arguments)))

    def make(self, name: str, **more: Any) -> Any:
        """Create a product without waiting; return its receipt."""
        payload = self.mutate("createProduct", **{"title": f"{name} {self.tag}", "price": 10.5, **more})
        expect(payload["success"], f"createProduct was refused: {payload}")
        return payload["write"]

    def settled(self, write: Any) -> Any:
        """Watch a write until it is settled; return its receipt."""
        [receipt] = self.watch("writeSettled", RECEIPT, write["id"])
        return receipt

    def found(self, term: str, **paging: Any) -> list[str]:
        """Return the ids of this run's products that match a search."""
        page = self.query("allProducts", "id", search=f"{term}{self.tag}", **paging)
        return [product["id"] for product in page]

    def task(self, mutation: str, **arguments: Any) -> Any:
        """Run a mutation that makes one task; return the task."""
        task = self.mutate(mutation, "id status", **arguments)
        self.task_ids.add(task["id"])
        return task

    def result(self, task: Any) -> Any:
        """Watch a task until it is COMPLETED; return its result."""
        states = list(self.watch("taskUpdated", "status progress result", task["id"]))
        progress, last = [one["progress"] for one in states], states[-1]
        equal((last["status"], progress[-1], sorted(progress)), ("COMPLETED", 100, progress), last)
        return last["result"]

    def refused(self, code: str, field: str | None, document: str) -> None:
        """Send a GraphQL document whose only error must have this code and field."""
        [error] = self.graphql(document)["errors"]
        equal((error["extensions"]["code"], error["extensions"].get("field")), (code, field), error)

    def problem(self, status: int, code: str, place: str, method: str, path: str, body: Any = None) -> None:
        """Send a request that must be answered with this problem (RFC 9457), at this place of the request."""
        reply = self.rest(method, path, body)
        places = [error.get("pointer") or error["parameter"] for error in reply.body.get("errors", [])]
        equal((reply.status, reply.body["code"], "".join(places)), (status, code, place), reply.body)
        equal(reply.headers["Content-Type"], "application/problem+json")

    def no_product_is_left(self) -> None:
        """Delete every product of this run; once this last create is applied, so are all before it."""
        last = self.mutate("createProductSync", "message product { id }", title=self.tag, price=1)
        expect(last["product"], f"test products may be left behind, the queue is slow: {last}")
        for product_id in self.found("", first=PAGE_MAX):
            last = self.mutate("deleteProduct", productId=product_id)["write"]
        equal(self.found("", first=PAGE_MAX, afterWrite=last["id"]), [])

    def no_task_is_left(self) -> None:
        """Cancel every unfinished task of this run and wait for its end; it may have just ended."""
        for task_id in self.task_ids:
            if self.query("task", "status", id=task_id)["status"] in ("PENDING", "PROCESSING"):
                self.graphql(one_field("mutation", "cancelTask", "id", {"id": task_id}))
                list(self.watch("taskUpdated", "id", task_id))


def expect(holds: object, otherwise: object) -> None:
    """Raise AssertionError with `otherwise` unless `holds`."""
    if not holds:
        raise AssertionError(otherwise)


def equal(found: object, expected: object, where: object = "") -> None:
    """Raise AssertionError unless two values are equal."""
    expect(found == expected, f"{found}, not {expected} {where}".rstrip())


def one_field(kind: str, field: str, selection: str, arguments: dict[str, Any]) -> str:
    """Return a GraphQL document with one root field; its values are JSON without quotes around names."""
    given = re.sub(r'"(\w+)": ', r"\1: ", json.dumps(arguments))[1:-1]
    return f"{kind} {{ {field}({given}) {{ {selection} }} }}"


def only(answer: Any) -> Any:
    """Return the only root field of a GraphQL answer; AssertionError if it has errors."""
    expect("errors" not in answer, f"errors in the answer: {answer}")
    [value] = answer["data"].values()
    return value


class Checks(Run):
    """The checks: every method is one, run in this order."""

    def the_server_is_well(self) -> None:
        health, ready = self.rest("GET", "/health"), self.rest("GET", "/ready")
        equal((health.status, health.body["status"], ready.body), (200, "ok", {"ready": True}), health.body)
        expect("\n# TYPE afterwrite_" in self.rest("GET", "/metrics").body, "/metrics has no figures")
        expect(self.rest("GET", "/openapi.json").body["paths"].keys() >= ROUTES, "routes are missing")

    def a_create_is_answered_with_a_receipt_and_applied(self) -> None:
        write = self.make("Lamp", ratingRate=4.8)
        equal((write["operation"], self.settled(write)["status"]), ("CREATE", "APPLIED"))
        equal(self.query("write", RECEIPT, id=write["id"])["error"], None)
        product = self.query("product", PRODUCT, productId=write["productId"])
        equal((product["title"], product["price"], product["version"]), (f"Lamp {self.tag}", 10.5, 1))
        equal((product["rating"], product["createdAt"]), ({"rate": 4.8, "count": None}, product["updatedAt"]))

    def a_sync_create_answers_with_the_product(self) -> None:
        answer = self.mutate("createProductSync", "product { id }", title=f"Sync {self.tag}", price=379.99)
        equal(self.found("SYNC "), [answer["product"]["id"]])

    def many_products_are_created_at_once(self) -> None:
        lots = [{"title": f"Lot {n} {self.tag}", "price": n, "category": self.tag} for n in range(3)]
        writes = self.mutate("createProducts", "writes { id productId }", products=lots)["writes"]
        page = self.query("products", PAGE, category=self.tag, maxPrice=1, afterWrite=writes[-1]["id"])
        equal([edge["node"]["id"] for edge in page["edges"]], [write["productId"] for write in writes[:2]])
        categories = only(self.graphql("{ categories { name count } }"))
        expect({"name": self.tag, "count": 3} in categories, categories)

    def an_update_changes_and_a_delete_removes(self) -> None:
        product_id = self.make("Before")["productId"]
        self.mutate("updateProduct", productId=product_id, title=f"After {self.tag}")
        write = self.mutate("updateProduct", productId=product_id, category=None)["write"]
        product = self.query("product", PRODUCT, productId=product_id, afterWrite=write["id"])
        equal((product["title"], product["price"], product["version"]), (f"After {self.tag}", 10.5, 3))
        write = self.mutate("deleteProduct", productId=product_id)["write"]
        equal(self.query("product", PRODUCT, productId=product_id, afterWrite=write["id"]), None)

    def many_are_changed_and_deleted_at_once(self) -> None:
        ids = [self.make(f"Many {number}")["productId"] for number in range(2)]
        changes = [{"productId": number, "category": self.tag} for number in ids] + [{"productId": ids[0], "price": -1}]
        answer = "success errors { field code } writes { id productId }"
        refused = self.mutate("updateProducts", answer, products=changes)
        equal((refused["success"], refused["writes"]), (False, []))
        equal(refused["errors"], [{"field": ["products", "2", "price"], "code": "OUT_OF_RANGE"}])
        equal(self.mutate("updateProducts", answer, products=changes[:2])["success"], True)
        gone = self.mutate("deleteProducts", answer, productIds=ids)["writes"]
        equal([write["productId"] for write in gone], ids)
        equal(self.found("Many ", afterWrite=gone[-1]["id"]), [])

    def a_record_over_rest(self) -> None:
        new, waiting = {"title": f"Rest {self.tag}", "price": 10.5}, {"Prefer": f"wait={TIMEOUT_SECONDS}"}
        queued = self.rest("POST", "/api/products", new)
        equal((queued.status, queued.headers["Location"]), (202, f"/api/writes/{queued.body['id']}"))
        made = self.rest("POST", "/api/products", new, **waiting)
        path = f"/api/products/{made.body['id']}"
        equal((made.status, made.headers["Location"], made.headers["ETag"]), (201, path, '"1"'))
        changed = self.rest("PATCH", path, {"price": 12}, **waiting, **{"If-Match": '"1"'})
        equal((changed.status, changed.body["price"], changed.headers["ETag"]), (200, 12, '"2"'))
        late = self.rest("PATCH", path, {"price": 13}, **waiting, **{"If-Match": '"1"'})
        equal((late.status, late.body["code"]), (412, "VERSION_CONFLICT"))
        equal(self.rest("GET", path, **{"If-None-Match": '"2"'}).status, 304)
        page = self.rest("GET", f"/api/products?search=rest%20{self.tag}&limit=1")
        expect('rel="next"' in page.headers["Link"], page.headers)
        equal(self.rest("DELETE", path, **waiting).status, 204)
        self.problem(404, "PRODUCT_NOT_FOUND", "", "GET", path)
        self.problem(422, "OUT_OF_RANGE", "#/price", "POST", "/api/products", {**new, "price": -1})

    def every_list_is_served_over_rest(self) -> None:
        paths = self.rest("GET", "/openapi.json").body["paths"]
        for path in (path for path, methods in paths.items() if path.startswith("/api/") and "get" in methods):
            if "{" not in path:
                equal(self.rest("GET", f"{path}?limit=1").status, 200, path)

    def a_failed_write_says_why_and_can_be_retried(self) -> None:
        write = self.mutate("updateProduct", productId=2**53 - 1, title="Nobody")["write"]
        equal(self.settled(write)["error"], {"code": "PRODUCT_NOT_FOUND"})
        equal(self.mutate("retryWrite", id=write["id"])["write"]["retryOf"], write["id"])
        equal(self.mutate("retryWrite", id=2**53 - 1)["errors"][0]["code"], "WRITE_NOT_FOUND")

    def a_key_makes_one_product(self) -> None:
        first, again = (self.make("Once", idempotencyKey=self.tag) for _ in range(2))
        equal(again["id"], first["id"])
        other = self.mutate("createProduct", title=f"Twice {self.tag}", price=1, idempotencyKey=self.tag)
        equal(other["errors"], [{"field": None, "code": "IDEMPOTENCY_KEY_REUSED"}])
        equal(self.found("Once ", afterWrite=first["id"]), [first["productId"]])

    def a_wrong_field_is_named_with_a_code(self) -> None:
        for field, value, code in WRONG_FIELDS:
            given: dict[str, Any] = {"title": f"No {self.tag}", "price": 1, field: value}
            payload = self.mutate("createProduct", **given)
            equal((payload["success"], payload["write"]), (False, None), payload)
            equal(payload["errors"], [{"field": [field], "code": code}])

    def pages_keep_their_place(self) -> None:
        made = [self.make(f"Page {number} pager") for number in range(4)]
        ids, term = [write["productId"] for write in made], f"pager {self.tag}"
        self.settled(made[-1])
        equal([self.found("pager ", first=3, skip=skip) for skip in (0, 3, 6)], [ids[:3], ids[3:], []])
        page = self.query("products", PAGE, search=term, first=2)
        equal((page["totalCount"], page["pageInfo"]["hasNextPage"]), (4, True))
        self.settled(more := self.make("Page 4 pager"))
        rest = self.query("products", PAGE, search=term, first=9, after=page["pageInfo"]["endCursor"])
        equal([edge["node"]["id"] for edge in rest["edges"]], [*ids[2:], more["productId"]])
        back = self.query("products", PAGE, search=term, last=1, before=rest["pageInfo"]["startCursor"])
        equal([edge["node"]["id"] for edge in back["edges"]], [ids[1]])

    def a_payment_and_its_refund(self) -> None:
        stripe = self.rest("GET", "/health").body["integrations"]["stripe"]["status"]
        if stripe != "simulated":
            raise SkipTest(f"/health says that stripe is {stripe}, not simulated: nothing is paid there")
        task = self.task("createStripeCustomerTask", email="test@example.com", name="Test")
        money = {"amount": 1999, "currency": "eur", "customerId": self.result(task)["customer_id"]}
        paid = self.result(self.task("createStripePaymentTask", **money))
        equal((paid["simulated"], paid["status"], paid["amount"]), (True, "succeeded", 1999))
        task = self.task("createStripeRefundTask", paymentIntentId=paid["payment_intent_id"], amount=500)
        equal(self.result(task)["amount"], 500)

    def a_job_over_rest(self) -> None:
        headers = {"Idempotency-Key": f"job {self.tag}"}
        sent = self.rest("POST", "/api/process", {"payload": JOB}, **headers)
        job_id, path = sent.body["correlation_id"], f"/api/process/{sent.body['correlation_id']}"
        task = self.query("process", "id", correlationId=job_id)
        self.task_ids.add(task["id"])
        again = self.rest("POST", "/api/process", {"payload": JOB}, **headers).body["correlation_id"]
        equal((sent.status, sent.headers["Location"], again), (202, path, job_id))
        equal((self.result(task)["accepted"], self.rest("GET", path).body["status"]), (1, "COMPLETED"))

    def an_entry_over_rest(self) -> None:
        entry = self.rest("POST", "/api/entries", {"title": f"Entry {self.tag}"})
        self.task_ids.add(entry.body["id"])
        path = f"/api/entries/{entry.body['id']}"
        equal((entry.status, entry.headers["Location"], entry.body["status"]), (201, path, "CREATED"))
        page = self.rest("GET", f"/api/entries?limit=5&search=entry%20{self.tag}").body
        equal((page["total"], page["limit"], page["entries"][0]["id"]), (1, 5, entry.body["id"]))
        stages = [stage["stage"] for stage in self.result(entry.body)["stages"]]
        equal((stages, self.rest("GET", path).body["progress"]), (["STAGE_1", "STAGE_2", "COMPLETED"], 100))
        self.problem(409, "MOVE_NOT_ALLOWED", "#/status", "PATCH", path, {"status": "STAGE_1"})

    def a_scheduled_entry_is_cancelled(self) -> None:
        entry = self.task("createEntry", title=f"Later {self.tag}", runAt="2999-12-31T00:00:00Z")
        equal(entry["status"], "CREATED")
        equal(self.mutate("cancelTask", "status", id=entry["id"]), {"status": "CANCELLED"})
        found = self.query("entries", "nodes { id status }", search=f"LATER {self.tag}")
        equal(found["nodes"], [{"id": entry["id"], "status": "CANCELLED"}])
        self.refused("TASK_NOT_CANCELLABLE", "id", f"mutation {{ cancelTask(id: {entry['id']}) {{ id }} }}")

    def a_key_makes_one_task(self) -> None:
        payload = {"products": [{"title": f"Listed {self.tag}", "price": 1}]}
        order = {"type": "process_products", "payload": payload, "idempotencyKey": f"task {self.tag}"}
        first, again = self.task("createTask", **order), self.task("createTask", **order)
        equal(again["id"], first["id"])
        other = one_field("mutation", "createTask", "id", {**order, "payload": JOB})
        self.refused("IDEMPOTENCY_KEY_REUSED", "idempotencyKey", other)
        self.result(first)
        found = self.query("tasks", "nodes { id status attempt }", search=f"LISTED {self.tag}")
        equal(found["nodes"], [{"id": first["id"], "status": "COMPLETED", "attempt": 1}])
        expect({"type": "entry"} in only(self.graphql("{ taskTypes { type } }")), "no type `entry`")

    def a_wrong_request_is_refused_with_a_code(self) -> None:
        self.refused("GRAPHQL_PARSE_FAILED", None, "{")
        self.refused("GRAPHQL_VALIDATION_FAILED", None, "{ nothing }")
        self.refused("BAD_USER_INPUT", None, f"{{ allProducts(first: {PAGE_MAX + 1}) {{ id }} }}")
        self.refused("UNKNOWN_TASK_TYPE", "type", 'mutation { createTask(type: "no", payload: {}) { id } }')
        wrong = 'mutation { createTask(type: "process_products", payload: {products: [1]}) { id } }'
        self.refused("INVALID_PAYLOAD", "payload.products.0", wrong)
        self.problem(422, "INVALID_REQUEST", "#/title", "POST", "/api/entries", {})
        self.problem(422, "INVALID_REQUEST", "limit", "GET", "/api/entries?limit=0")
        self.problem(404, "TASK_NOT_FOUND", "", "GET", f"/api/entries/{self.tag}")
        job = {"payload": JOB, "callback_url": "ftp://example.com/"}
        self.problem(422, "INVALID_ARGUMENT", "#/callback_url", "POST", "/api/process", job)


if __name__ == "__main__":
    use_utf8()
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
