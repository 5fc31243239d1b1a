"""The overview and the page of writes in a real browser: what failed, why, and trying it again."""

from collections.abc import Callable
from pathlib import Path

import pytest
from console_pages import ROWS, console_of, create_product, dialog, fill, row, toast
from playwright.sync_api import expect
from server_process import ServerProcess

DELETE = "mutation ($id: ID!) { deleteProduct(productId: $id) { write { id productId } } }"


def test_the_overview_shows_what_happens_and_what_failed(server: ServerProcess, tmp_path: Path) -> None:
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/")
        expect(page.get_by_text("Nothing has failed.")).to_be_visible()
        for part in ("Database", "Journal", "Workers"):
            expect(page.locator("dl.health")).to_contain_text(part)
        charts = page.locator("svg.chart path:not(.area)")
        expect(charts).to_have_count(3)
        quiet = charts.nth(1).get_attribute("d")

        failed = server.query(DELETE, {"id": "77"})["deleteProduct"]["write"]["id"]
        failure = row(page, "Delete product 77")
        expect(failure).to_contain_text("Product 77 does not exist")
        expect(page.locator("a", has_text="FAILED").first.locator("+ .number")).to_have_text("1")
        expect(charts.nth(1)).not_to_have_attribute("d", str(quiet))  # it moves with the writes

        failure.get_by_role("button", name="Retry").click()
        toast(page, f"Write {failed} queued again")
        expect(page.locator("a", has_text="FAILED").first.locator("+ .number")).to_have_text("2")

        page.get_by_role("link", name="FAILED").first.click()
        expect(page.get_by_label("Status")).to_have_value("FAILED")
        expect(page.locator(ROWS)).to_have_count(2)


def test_a_receipt_moves_from_queued_to_applied_while_one_looks_on(
    make_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = make_server(CONSOLE_POLL_SECONDS="1").start()
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        with server.database.no_drain():  # what is accepted now waits
            page.get_by_role("link", name="Create product").click()
            fill(page, Title="Desk", Price="200")
            page.keyboard.press("Enter")
            expect(dialog(page).locator("[data-receipt=QUEUED]")).to_contain_text("waits for its turn")
            other = visit.new_tab()
            other.goto("/writes")
            expect(row(other, "Create product 1")).to_contain_text("QUEUED")
            other.goto("/")
            expect(other.locator(".figure").first).to_contain_text("1")
        expect(dialog(page).locator("[data-receipt=APPLIED]")).to_contain_text("after acceptance")
        page.keyboard.press("Escape")
        expect(row(page, "Desk")).to_be_visible()
        other.goto("/writes")
        expect(row(other, "Create product 1")).to_contain_text("APPLIED")


@pytest.mark.one_database("a browser is slow, and what it does here asks nothing new of the database")
def test_writes_are_found_by_status_and_product_and_tried_again(server: ServerProcess, tmp_path: Path) -> None:
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/writes")
        expect(page.get_by_text("No writes yet")).to_be_visible()
        page.goto("/products")
        create_product(page, "Desk", "200")
        server.query(DELETE, {"id": "77"})

        page.goto("/writes")
        expect(page.locator(ROWS)).to_have_count(2)
        page.get_by_label("Product id").fill("77")
        page.get_by_label("Product id").press("Enter")
        expect(page.locator(ROWS)).to_have_count(1)
        page.get_by_role("link", name="Delete product 77").click()
        expect(page.locator(".notice")).to_contain_text("PRODUCT_NOT_FOUND")
        first = page.url
        page.get_by_role("button", name="Retry").dblclick()  # it is one retry all the same
        page.wait_for_url(lambda url: url != first and "/writes/" in url)
        expect(page.locator("dl.facts")).to_contain_text("Retry of")
        page.goto("/writes?record=77")
        expect(page.locator(ROWS)).to_have_count(2)

        page.goto("/writes?status=APPLIED")
        page.get_by_role("link", name="Create product 1").click()
        expect(page.get_by_role("region", name="Request")).to_contain_text('"title": "Desk"')
        expect(page.locator("dl.facts")).to_contain_text("now Desk")
        page.get_by_role("link", name="Products").click()
        expect(row(page, "Desk")).to_be_visible()
