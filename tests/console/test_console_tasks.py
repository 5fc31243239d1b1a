"""The pages of tasks, entries and processes in a real browser: from nothing to the end."""

import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from console_pages import ROWS, console_of, dialog, fill, row, toast
from playwright.sync_api import expect
from server_process import ServerProcess, wait_until

MakeServer = Callable[..., ServerProcess]


@pytest.mark.one_database("a browser is slow, and what it does here asks nothing new of the database")
def test_a_customer_pays_and_is_refunded(server: ServerProcess, tmp_path: Path) -> None:
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/tasks")
        expect(page.get_by_text("No tasks yet")).to_be_visible()

        page.get_by_role("link", name="Create customer").click()
        fill(page, Name="Ada")
        page.keyboard.press("Enter")
        email = dialog(page).get_by_label("E-mail")
        expect(email).to_have_attribute("aria-invalid", "true")
        fill(page, **{"E-mail": "ada@example.com", "Correlation_id": "first"})
        page.keyboard.press("Enter")
        dialog(page).locator("[data-task=COMPLETED]").wait_for()
        dialog(page).get_by_role("link", name="Open the task").click()
        result = page.get_by_role("region", name="Result")
        expect(result).to_contain_text('"simulated": true')
        expect(page.get_by_text("1 of 6")).to_be_visible()
        customer = json.loads(result.inner_text())["customer_id"]

        page.goto("/tasks")
        page.get_by_role("link", name="Create payment").click()
        fill(page, Amount="19,99", Currency="eur", Customer=customer)
        page.keyboard.press("Enter")
        expect(dialog(page).get_by_label("Amount")).to_have_attribute("aria-invalid", "true")
        fill(page, Amount="1999")
        page.keyboard.press("Enter")
        dialog(page).locator("[data-task=COMPLETED]").wait_for()
        dialog(page).get_by_role("link", name="Open the task").click()
        payment = json.loads(page.get_by_role("region", name="Result").inner_text())["payment_intent_id"]

        page.goto("/tasks")
        page.get_by_role("link", name="Refund", exact=True).click()
        fill(page, Payment=payment)
        page.keyboard.press("Enter")
        dialog(page).locator("[data-task=COMPLETED]").wait_for()
        page.keyboard.press("Escape")

        page.goto("/tasks?search=first")
        expect(page.locator("[data-watch-id]")).to_have_count(1)
        page.goto("/tasks")
        expect(page.locator("[data-watch-id]")).to_have_count(3)
        page.get_by_label("Type", exact=True).select_option("stripe_refund_payment")
        expect(page.locator("[data-watch-id]")).to_have_count(1)
        page.get_by_label("Status").select_option("FAILED")
        expect(page.get_by_text("No task matches")).to_be_visible()
        assert page.url.endswith("/tasks?status=FAILED&type=stripe_refund_payment")


def test_a_type_is_paused_and_a_task_cancelled_and_retried(server: ServerProcess, tmp_path: Path) -> None:
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/tasks")
        kind = page.locator("#type-stripe_create_customer")
        kind.get_by_role("button", name="Pause").click()
        toast(page, "stripe_create_customer is paused")
        expect(kind).to_contain_text("paused")

        page.get_by_role("link", name="Create customer").click()
        fill(page, Name="Ada", **{"E-mail": "ada@example.com"})
        page.keyboard.press("Enter")
        expect(dialog(page)).to_contain_text("PENDING")
        page.keyboard.press("Escape")
        task = row(page, "stripe_create_customer").first
        task.get_by_role("button", name="Cancel").click()
        expect(task).to_contain_text("CANCELLED")
        task.get_by_role("link", name="stripe_create_customer").click()
        page.get_by_role("button", name="Retry").click()
        expect(page.locator(".state")).to_contain_text("PENDING")

        page.goto("/tasks")
        kind.get_by_role("button", name="Resume").click()
        expect(task).to_contain_text("COMPLETED")
        expect(kind).not_to_contain_text("paused")
        task.get_by_role("link", name="stripe_create_customer").click()
        told = page.locator("dl", has_text="Cancel").last
        expect(told).to_contain_text(re.compile("Cancel.*Retry", re.DOTALL))


@pytest.mark.one_database("a browser is slow, and what it does here asks nothing new of the database")
def test_entries_are_seen_going_through_their_stages(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(STAGE_SECONDS="3", CONSOLE_POLL_SECONDS="1").start()
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/entries")
        expect(page.get_by_text("No entries yet")).to_be_visible()
        page.evaluate("window.notReloaded = true")
        page.get_by_role("link", name="Create entry").click()
        dialog(page)
        page.keyboard.press("Enter")
        expect(dialog(page).get_by_label("Title")).to_have_attribute("aria-invalid", "true")
        fill(page, Title="Hello")
        page.keyboard.press("Enter")
        toast(page, "Hello is created")
        expect(page.locator("dialog[open]")).to_have_count(0)
        entry = row(page, "Hello")
        for status, progress in (("STAGE_1", "33"), ("STAGE_2", "66"), ("COMPLETED", "100")):
            expect(entry).to_contain_text(status, timeout=15_000)
            expect(entry.get_by_role("progressbar")).to_have_attribute("value", progress)
        toast(page, "Hello completed")
        assert page.evaluate("window.notReloaded")

        page.get_by_label("Status").select_option("FAILED")
        expect(page.get_by_text("No entry matches")).to_be_visible()


def _claimed(server: ServerProcess) -> Any:
    """The one entry, once a worker holds it."""
    [entry] = server.query("{ tasks { nodes { id lockedBy } } }")["tasks"]["nodes"]
    return entry if entry["lockedBy"] else None


@pytest.mark.one_database("a browser is slow, and what it does here asks nothing new of the database")
def test_an_entry_that_fails_says_so_over_the_page(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(STAGE_SECONDS="3600", CONSOLE_POLL_SECONDS="1").start()
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/entries")
        page.get_by_role("link", name="Create entry").click()
        fill(page, Title="Hopeless")
        page.keyboard.press("Enter")
        expect(row(page, "Hopeless")).to_contain_text("CREATED")
        entry = wait_until(lambda: _claimed(server))
        change = json.dumps({"status": "FAILED", "lockedBy": entry["lockedBy"], "error": "out of paper"}).encode()
        assert _send(server, "PATCH", f"/api/entries/{entry['id']}", change) == 200
        toast(page, "Hopeless failed")
        expect(row(page, "Hopeless")).to_contain_text("out of paper")


def test_a_job_is_submitted_and_its_callback_comes_back(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(WEBHOOK_ALLOW_PRIVATE="on", CONSOLE_POLL_SECONDS="1").start()
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/process")
        expect(page.get_by_text("No jobs yet")).to_be_visible()
        page.get_by_role("link", name="Submit a job").click()
        expect(dialog(page).get_by_label("Callback URL")).to_have_value(f"{server.url}/webhook")
        fill(page, **{"Products,_as_JSON": "{nothing"})
        dialog(page).get_by_role("button", name="Submit").click()
        expect(dialog(page).get_by_label("Products, as JSON")).to_have_attribute("aria-invalid", "true")
        fill(page, **{"Products,_as_JSON": '{"products": [{"title": "Lamp", "price": 12.5}]}'})
        dialog(page).get_by_role("button", name="Submit").click()
        dialog(page).locator("[data-task=COMPLETED]").wait_for()
        dialog(page).get_by_role("link", name="Open the job").click()

        correlation_id = page.url.rpartition("/")[2]
        expect(page.locator(".steps li.reached")).to_have_text(["VALIDATING", "TRANSFORMING", "STORING", "COMPLETED"])
        expect(page.get_by_role("region", name="Result")).to_contain_text('"accepted": 1')
        received = page.locator("table", has_text="Signature").locator(ROWS)
        expect(received).to_have_count(1)
        expect(received).to_contain_text(["valid"])

        body = json.dumps({"correlation_id": correlation_id}).encode()
        assert _send(server, "POST", "/webhook", body) == 401
        expect(received).to_have_count(2)
        expect(received.first).to_contain_text("missing header")
        page.goto("/process")
        expect(page.get_by_role("link", name=correlation_id).first).to_be_visible()


def _send(server: ServerProcess, method: str, path: str, body: bytes) -> int:
    with closing(server.client()) as client:
        return client.request(method, path, body, {"Content-Type": "application/json"})[0]
