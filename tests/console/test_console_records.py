"""The pages of a resource that is not the product, with a field of every type, in a real browser."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from console_client import ConsoleClient
from console_pages import ROWS, console_of, dialog, fill, row, serious
from playwright.sync_api import Page, expect
from server_process import ROOT, ServerProcess

from afterwrite.access.keys import Key, hash_of
from afterwrite.access.roles import Role

pytestmark = pytest.mark.one_database("how pages look and are operated")

MakeServer = Callable[..., ServerProcess]
CREATE_MANY = (
    "mutation ($orders: [OrderInput!]!) { createOrders(orders: $orders) { writes { id } errors { message } } }"
)
LAST = "query ($id: ID!) { orders(afterWrite: $id) { totalCount } }"
ALL = "{ orders { nodes { number note state total pieces gift due paidAt extra } } }"
PAGES = (
    "/orders",
    "/orders?state=OPEN&min_weight=1",
    "/orders?max_total=much",
    "/orders/new",
    "/orders/upload",
    "/orders/1",
    "/orders/1/delete",
    "/orders/1/pay",
    "/orders/1/postpone",
    "/lockers",
)


def serve(make_server: MakeServer, program: str = "tests/support/orders_app.py", **environment: str) -> ServerProcess:
    """A running server of another application."""
    made = make_server(PYTHONPATH=str(ROOT), CONSOLE_POLL_SECONDS="1", **environment)
    made.program = (program,)
    return made.start()


@pytest.fixture
def orders(make_server: MakeServer) -> ServerProcess:
    """A running server of orders."""
    return serve(make_server)


def create_many(server: ServerProcess, given: list[dict[str, Any]]) -> None:
    """Create orders, and wait until they are applied."""
    answer = server.query(CREATE_MANY, {"orders": given})["createOrders"]
    assert answer["errors"] == []
    server.query(LAST, {"id": answer["writes"][-1]["id"]})


def settle(page: Page, status: str) -> None:
    """Wait until the write of the receipt in the dialog has the status."""
    dialog(page).locator(f"[data-receipt={status}]").wait_for()


def test_an_order_goes_through_all_its_life(orders: ServerProcess, tmp_path: Path) -> None:
    with console_of(orders, tmp_path) as visit:
        page = visit.page
        page.goto("/orders")
        expect(page.get_by_text("No orders yet")).to_be_visible()
        page.get_by_role("link", name="Create order").click()
        expect(dialog(page).get_by_label("State")).to_have_value("OPEN")
        expect(dialog(page).get_by_label("Gift")).to_have_value("false")
        fill(page, Total="12.345", Pieces="many", Paid_at="yesterday", Link="ftp://x", Extra='{"a": 1')
        dialog(page).get_by_role("button", name="Create").click()
        for label, told in (
            ("Number", "Give a value"),
            ("Total", "12.345: give at most two decimals At most two decimals, in EUR"),
            ("Pieces", "'many': give a whole number"),
            ("Paid at", "'yesterday': give a time with its offset"),
            ("Link", "'ftp://x': give an absolute URL"),
            ("Extra", "No JSON: not valid JSON"),
        ):
            expect(dialog(page).get_by_label(label)).to_have_accessible_description(_starting(told))
        expect(dialog(page).get_by_label("Number")).to_be_focused()

        fill(page, Number="A-1", Note="Ring twice", Total="12.5", Tip="100", Pieces="3", Due="2026-12-24")
        fill(page, Paid_at="2026-11-30T13:00:00+01:00", Link="https://example.org/a", Mail="mia@example.org")
        fill(page, Extra='{"a": [1, true]}')
        dialog(page).get_by_label("Gift").select_option("Yes")
        dialog(page).get_by_role("button", name="Create").click()
        expect(dialog(page).get_by_role("alert")).to_contain_text("A gift has no tip")
        dialog(page).get_by_label("Gift").select_option("No")
        dialog(page).get_by_role("button", name="Create").click()
        settle(page, "APPLIED")
        dialog(page).get_by_role("button", name="Done").click()
        expect(row(page, "A-1")).to_contain_text("12.50")

        row(page, "A-1").get_by_role("link", name="Edit").click()
        expect(dialog(page).get_by_label("Number")).to_have_count(0)  # immutable
        expect(dialog(page).locator("dl")).to_contain_text("Per piece416")
        fill(page, Note="")
        dialog(page).get_by_label("State").select_option("SENT")
        dialog(page).get_by_role("button", name="Save").click()
        settle(page, "APPLIED")
        page.keyboard.press("Escape")
        expect(row(page, "A-1")).to_contain_text("SENT")
        [found] = orders.query(ALL)["orders"]["nodes"]
        assert found == {
            "number": "A-1",
            "note": None,
            "state": "SENT",
            "total": 12.5,
            "pieces": 3,
            "gift": False,
            "due": "2026-12-24",
            "paidAt": "2026-11-30T12:00:00+00:00",
            "extra": {"a": [1, True]},
        }
        page.goto("/writes")
        page.get_by_role("link", name="Update order 1").click()
        request = page.get_by_role("region", name="Request")
        assert json.loads(request.inner_text()) == {"note": None, "state": "SENT"}  # only what was changed

        page.goto("/orders")
        row(page, "A-1").get_by_role("link", name="Delete").click()
        dialog(page).get_by_role("button", name="Delete").click()
        settle(page, "APPLIED")
        page.keyboard.press("Escape")
        expect(page.get_by_text("No orders yet")).to_be_visible()


def _starting(text: str) -> re.Pattern[str]:
    return re.compile(f"^{re.escape(text)}")


def test_operations_are_offered_with_their_arguments_and_their_receipt_says_what_became_of_them(
    orders: ServerProcess, tmp_path: Path
) -> None:
    create_many(orders, [{"number": "A-1", "total": 10.0}])
    with console_of(orders, tmp_path) as visit:
        page = visit.page
        page.goto("/orders")
        page.get_by_role("link", name="A-1", exact=True).click()
        dialog(page).get_by_role("link", name="Pay").click()
        expect(dialog(page)).to_contain_text("Pay a part in cents, or all of it.")
        expect(dialog(page).get_by_label("Amount")).to_be_focused()
        page.keyboard.type("0")
        page.keyboard.press("Enter")
        expect(dialog(page).get_by_label("Amount")).to_have_accessible_description(
            "0: give a whole number from 1 to 2147483647"
        )
        fill(page, Amount="1001")
        page.keyboard.press("Enter")
        settle(page, "FAILED")
        expect(dialog(page)).to_contain_text("TOO_MUCH 1 cents are too much")
        page.keyboard.press("Escape")

        page.get_by_role("link", name="A-1", exact=True).click()
        dialog(page).get_by_role("link", name="Add").click()
        expect(dialog(page).get_by_label("Pieces")).to_have_value("1")  # the default of the argument
        dialog(page).get_by_role("button", name="Add").click()
        settle(page, "APPLIED")
        dialog(page).get_by_role("button", name="Done").click()
        expect(row(page, "A-1").locator("td").nth(7)).to_have_text("2")

        page.goto("/orders/1/pay")  # without the dialog
        page.get_by_label("Amount").fill("1000")
        page.get_by_role("button", name="Pay").click()
        page.locator("[data-receipt=APPLIED]").wait_for()
        page.get_by_role("link", name="Done").click()
        expect(row(page, "A-1")).to_contain_text("PAID")
        page.goto("/writes")
        expect(page.get_by_role("link", name="Pay order 1")).to_have_count(2)


def test_the_list_is_searched_filtered_sorted_and_paged_and_the_url_keeps_it(
    orders: ServerProcess, tmp_path: Path
) -> None:
    given = [
        {
            "number": f"A-{n:03d}",
            "total": float(n),
            "weight": n / 4,
            "state": "PAID" if n % 2 else "OPEN",
            "gift": n % 3 == 0,
            "due": f"2026-12-{n % 28 + 1:02d}",
        }
        for n in range(120)
    ]
    create_many(orders, given)
    assert len(orders.get("/orders")[1]) < 100_000
    with console_of(orders, tmp_path) as visit:
        page = visit.page
        page.goto("/orders")
        expect(page.get_by_text("120 orders")).to_be_visible()
        expect(page.locator(ROWS)).to_have_count(50)
        page.get_by_label("Search").press_sequentially("a-11")
        expect(page.get_by_text("10 orders")).to_be_visible()
        page.get_by_label("State").select_option("PAID")
        expect(page.get_by_text("5 orders")).to_be_visible()
        page.get_by_label("Gift").select_option("No")
        expect(page.get_by_text("3 orders")).to_be_visible()
        page.get_by_text("More filters").click()
        page.get_by_label("Weight from").fill("28.5")
        page.get_by_label("Weight from").press("Enter")
        expect(page.get_by_text("2 orders")).to_be_visible()
        page.get_by_label("Order").select_option("Total, low to high")
        expect(page.locator(ROWS)).to_contain_text(["A-115", "A-119"])
        assert page.url.endswith("/orders?search=a-11&state=PAID&gift=false&order=TOTAL_ASC&min_weight=28.5")
        page.reload()
        expect(page.locator(ROWS)).to_contain_text(["A-115", "A-119"])
        expect(page.get_by_label("Weight from")).to_be_visible()  # with a filter set, the others are unfolded
        expect(page.get_by_label("Gift")).to_have_value("false")

        page.get_by_label("Due from").fill("2026-12-08")
        expect(page.get_by_text("1 order ")).to_be_visible()
        page.get_by_label("Weight from").fill("heavy")
        page.get_by_label("Weight from").press("Enter")
        expect(page.get_by_role("alert")).to_have_text("'heavy': give a number of 0 or more")

        page.goto("/orders?order=DUE_DESC")
        seen = _numbers(page)
        for _ in range(2):
            page.get_by_role("link", name="Next").click()
            page.wait_for_url("**after=**")
            expect(page.get_by_role("link", name="Previous")).to_be_visible()
            seen += _numbers(page)
        assert sorted(seen) == [one["number"] for one in given]
        page.goto("/orders?search=nothing")
        page.get_by_role("link", name="Show all orders").click()
        expect(page.get_by_text("120 orders")).to_be_visible()


def _numbers(page: Page) -> list[str]:
    return page.locator(f"{ROWS} td.main").all_inner_texts()


def test_a_file_is_uploaded_and_what_is_exported_can_be_uploaded_again(orders: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("number;total;gift;due;extra\nA-1;12,50;yes;2026-12-24;[1]\n;3;;;\nA-2;x;;;\n", encoding="utf-8")
    with console_of(orders, tmp_path) as visit:
        page = visit.page
        page.goto("/orders")
        page.get_by_role("link", name="Upload a file").click()
        expect(dialog(page)).to_contain_text("Columns: number and total; optional note, state, tip")
        dialog(page).get_by_label("File").set_input_files(file)
        dialog(page).get_by_role("button", name="Upload").click()
        expect(dialog(page)).to_contain_text("orders.csv: 1 accepted, 2 refused.")
        settle(page, "APPLIED")
        dialog(page).get_by_role("button", name="Done").click()
        for number, kind in enumerate(("CSV", "JSONL"), 1):
            page.goto("/orders?gift=true")
            with page.expect_download() as waiting:
                page.get_by_role("link", name=kind, exact=True).click()
            exported = tmp_path / f"exported.{kind.lower()}"
            waiting.value.save_as(exported)
            before = orders.query(ALL)
            page.goto(f"/orders/{number}/delete")
            page.get_by_role("button", name="Delete").click()
            page.locator("[data-receipt=APPLIED]").wait_for()
            page.goto("/orders/upload")
            page.get_by_label("File").set_input_files(exported)
            page.get_by_role("button", name="Upload").click()
            expect(page.locator("main")).to_contain_text("1 accepted, 0 refused.")
            page.locator("[data-receipt=APPLIED]").wait_for()
            assert orders.query(ALL) == before
        [row_of_csv] = csv.DictReader(io.StringIO((tmp_path / "exported.csv").read_text(encoding="utf-8")))
        assert (row_of_csv["total"], row_of_csv["gift"], row_of_csv["extra"]) == ("12.5", "true", "[1]")
        assert json.loads((tmp_path / "exported.jsonl").read_text(encoding="utf-8"))["extra"] == [1]


@pytest.fixture
def furnished(orders: ServerProcess) -> ServerProcess:
    """Orders with something in every field, and a failed operation."""
    every = {"note": "n" * 200, "tip": 5, "weight": 1.5, "pieces": 2**40, "due": "2026-12-24", "extra": {"a": [1, 2]}}
    more = {"paidAt": "2026-11-30T12:00:00Z", "link": "https://example.org/" + "l" * 300, "mail": "mia@example.org"}
    create_many(orders, [{"number": "A-1", "total": 10.0, **every, **more}, {"number": "<b>&", "total": 0.0}])
    orders.query("mutation { payOrder(orderId: 1, amount: 99999) { success } }")
    return orders


def test_every_page_can_be_used_by_everybody(furnished: ServerProcess, tmp_path: Path) -> None:
    """axe-core finds nothing serious or critical, in light and in dark."""
    with console_of(furnished, tmp_path, reduced_motion="reduce") as visit:
        page = visit.page
        for path in PAGES:
            page.goto(path)
            assert serious(page) == [], path
            page.emulate_media(color_scheme="dark")
            assert serious(page, "color-contrast") == [], path
            page.emulate_media(color_scheme="light")
        page.goto("/orders")
        for link in ("Create order", "A-1", "Pay"):
            page.get_by_role("link", name=link, exact=True).click()
            expect(dialog(page).get_by_role("button", name=link if link == "Pay" else "Close")).to_be_visible()
            assert serious(page) == [], link
            if link != "A-1":
                page.keyboard.press("Enter")
                dialog(page).locator("[aria-invalid]").first.wait_for()
                assert serious(page) == [], link
                page.emulate_media(color_scheme="dark")
                assert serious(page, "color-contrast") == [], link
                page.emulate_media(color_scheme="light")
                page.keyboard.press("Escape")
        visit.complaints = [text for text in visit.complaints if "400" not in text]  # of the wrong filter


@pytest.mark.parametrize("width", [375, 1440])
def test_every_page_fits_its_window(furnished: ServerProcess, tmp_path: Path, width: int) -> None:
    with console_of(furnished, tmp_path, viewport={"width": width, "height": 800}) as visit:
        page = visit.page
        for path in PAGES:
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        visit.complaints.clear()  # the browser's own line about the wrong filter


def test_an_operation_is_used_by_keyboard_alone(furnished: ServerProcess, tmp_path: Path) -> None:
    with console_of(furnished, tmp_path) as visit:
        page = visit.page
        page.goto("/orders")
        page.get_by_role("link", name="A-1", exact=True).focus()
        page.keyboard.press("Enter")
        expect(dialog(page).get_by_label("Note")).to_be_focused()
        page.keyboard.press("Shift+Tab")
        expect(dialog(page).get_by_role("link", name="Delete")).to_be_focused()
        page.keyboard.press("Shift+Tab")
        expect(dialog(page).get_by_role("link", name="Postpone")).to_be_focused()
        page.keyboard.press("Enter")
        expect(dialog(page).get_by_label("Until")).to_be_focused()
        page.keyboard.type("2027-01-02T00:00:00Z")
        page.keyboard.press("Enter")
        settle(page, "APPLIED")
        expect(dialog(page).get_by_role("button", name="Done")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="A-1", exact=True)).to_be_focused()


def test_a_reader_sees_every_value_and_no_button(make_server: MakeServer) -> None:
    keys = [Key("reader", Role.READ, hash_of("aw_reader")), Key("writer", Role.WRITE, hash_of("aw_writer"))]
    server = serve(make_server, API_KEYS=",".join(key.line for key in keys))
    writer, reader = ConsoleClient(server), ConsoleClient(server)
    writer.sign_in("aw_writer")
    reader.sign_in("aw_reader")
    assert writer.post("/orders", {"number": "A-1", "total": "12.5", "gift": "true"}).status_code == 200
    assert writer.post("/orders/1/add", {"pieces": "2"}).status_code == 200
    page = reader.get("/orders/1").text
    assert "<dt>Total</dt><dd>12.50</dd>" in page
    assert "<dt>Gift</dt><dd>Yes</dd>" in page
    assert "<form method" not in page.partition("<main")[2]
    assert "/orders/1/pay" not in page
    assert "/orders/1/pay" in writer.get("/orders/1").text
    for path in ("/orders/new", "/orders/upload", "/orders/1/delete", "/orders/1/pay"):
        assert reader.get(path).status_code == 403, path
    for path in ("/orders", "/orders/1", "/orders/1/pay"):
        assert reader.post(path, {"amount": "1", "note": "x"}).status_code == 403, path
    writer.http.close()
    reader.http.close()
