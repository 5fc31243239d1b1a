"""Forms and buttons of the console when things go otherwise: refused, pressed twice, late, closed, signed out."""

import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from console_pages import ROWS, console_of, create_product, dialog, fill, row, toast
from playwright.sync_api import Route, expect
from server_process import ServerProcess

from afterwrite.access.keys import Key, hash_of
from afterwrite.access.roles import Role

pytestmark = pytest.mark.one_database("how forms are operated")

MakeServer = Callable[..., ServerProcess]
CREATE_MANY = "mutation ($products: [ProductInput!]!) { createProducts(products: $products) { writes { id } } }"


@pytest.fixture
def quick(make_server: MakeServer) -> ServerProcess:
    """A server whose pages look again every second."""
    return make_server(CONSOLE_POLL_SECONDS="1", STAGE_SECONDS="0").start()


def test_a_look_that_comes_late_does_not_undo_a_filter(quick: ServerProcess, tmp_path: Path) -> None:
    quick.query(CREATE_MANY, {"products": [{"title": f"Lamp {n}", "price": 1.0} for n in range(6)]})
    with console_of(quick, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        expect(page.locator(ROWS)).to_have_count(6)
        held: list[Route] = []
        # A poll of the page itself, without any filter.
        page.route("**/products", lambda route: held.append(route))
        quick.query("mutation { updateProduct(productId: 1, price: 2) { success } }")
        with page.expect_request("**/products"):
            pass
        page.get_by_label("Search").fill("Lamp 3")
        expect(page.locator(ROWS)).to_have_count(1)
        for route in held:
            route.continue_()
        page.unroute("**/products")
        with page.expect_response(lambda answer: answer.url.endswith("/products?search=Lamp+3")):
            pass  # the next look is at what is shown
        expect(page.locator(ROWS)).to_have_count(1)


def test_a_button_pressed_twice_acts_once(quick: ServerProcess, tmp_path: Path) -> None:
    with console_of(quick, tmp_path) as visit:
        page = visit.page
        page.goto("/tasks")
        kind = page.locator("#type-entry")
        kind.get_by_role("button", name="Pause").dblclick()
        toast(page, "entry is paused")
        expect(kind.get_by_role("button", name="Resume")).to_be_visible()
        [entry] = [one for one in quick.query("{ taskTypes { type paused } }")["taskTypes"] if one["type"] == "entry"]
        assert entry["paused"]

        quick.query("mutation { deleteProduct(productId: 77) { success } }")
        page.goto("/")
        row(page, "Delete product 77").get_by_role("button", name="Retry").dblclick()
        toast(page, "queued again")
        expect(row(page, "Delete product 77")).to_have_count(2)
        assert len(quick.query("{ writes { nodes { id } } }")["writes"]["nodes"]) == 2


def test_a_refused_delete_says_why_and_can_be_sent_again(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(QUEUE_MAX_WRITES="1").start()
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        create_product(page, "Desk", "200")
        with server.database.no_drain():
            server.query('mutation { createProduct(title: "Chair", price: 1) { success } }')
            row(page, "Desk").get_by_role("link", name="Delete").click()
            dialog(page).get_by_role("button", name="Delete").click()
            expect(dialog(page).get_by_role("alert")).to_contain_text("The queue is full")
            expect(dialog(page)).to_contain_text("Delete Desk?")
        expect(page.locator(ROWS)).to_have_count(2)
        dialog(page).get_by_role("button", name="Delete").click()
        dialog(page).locator("[data-receipt=APPLIED]").wait_for()


@pytest.mark.parametrize("is_dialog", [True, False], ids=["dialog", "page"])
def test_the_first_field_that_was_refused_has_the_focus(quick: ServerProcess, tmp_path: Path, is_dialog: bool) -> None:
    with console_of(quick, tmp_path) as visit:
        page = visit.page
        page.goto("/products" if is_dialog else "/products/new")
        if is_dialog:
            page.get_by_role("link", name="Create product").click()
        form = dialog(page) if is_dialog else page.locator("main")
        form.get_by_label("Title").fill("Desk")
        form.get_by_label("Price").fill("dear")
        form.get_by_label("Rating rate").fill("6")
        page.keyboard.press("Enter")
        expect(form.get_by_label("Price")).to_have_attribute("aria-invalid", "true")
        expect(form.get_by_label("Price")).to_be_focused()
        form.get_by_label("Price").fill("200")
        page.keyboard.press("Enter")
        expect(form.get_by_label("Rating rate")).to_be_focused()
        visit.complaints = [text for text in visit.complaints if "422" not in text]


def test_only_what_is_meant_closes_a_dialog(quick: ServerProcess, tmp_path: Path) -> None:
    with console_of(quick, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        page.get_by_role("link", name="Create product").click()
        fill(page, Title="Desk")
        box = dialog(page).bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 3, box["y"] + 3)  # the dialog's own edge
        title = dialog(page).get_by_label("Title").bounding_box()
        assert title is not None
        page.mouse.move(title["x"] + 40, title["y"] + 10)
        page.mouse.down()
        page.mouse.move(5, 5)  # a selection that ends beside the dialog
        page.mouse.up()
        expect(dialog(page).get_by_label("Title")).to_have_value("Desk")

        page.evaluate("afterwrite.toast('Something happened', 'error')")
        message = toast(page, "Something happened")
        message.get_by_role("button", name="Dismiss").click()
        expect(message).to_have_count(0)
        expect(dialog(page).get_by_label("Title")).to_have_value("Desk")

        page.mouse.click(5, 400)
        expect(page.locator("dialog[open]")).to_have_count(0)


def test_a_dialog_whose_page_is_refused_does_not_open(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(CONSOLE_POLL_SECONDS="3600").start()
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        create_product(page, "Desk", "200")
        expect(row(page, "Desk")).to_be_visible()
        server.query("mutation { deleteProduct(productId: 1) { success } }")
        row(page, "Desk").get_by_role("link", name="Edit").click()
        toast(page, "There is no product 1")
        expect(page.locator("dialog[open]")).to_have_count(0)
        visit.complaints = [text for text in visit.complaints if "404" not in text]


def test_an_upload_that_is_stopped_leaves_the_next_form_alone(quick: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "lamps.csv"
    file.write_text("title,price\nLamp,1\n", encoding="utf-8")
    with console_of(quick, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        held: list[Route] = []
        page.route(
            "**/products/upload",
            lambda route: held.append(route) if route.request.method == "POST" else route.continue_(),
        )
        page.get_by_role("link", name="Upload a file").click()
        dialog(page).get_by_label("File").set_input_files(file)
        dialog(page).get_by_role("button", name="Upload").click()
        dialog(page).get_by_role("button", name="Cancel").click()
        toast(page, "The upload was stopped")
        page.get_by_role("link", name="Create product").click()
        fill(page, Title="Half")
        for route in held:
            route.abort()
        expect(dialog(page).get_by_label("Title")).to_have_value("Half")


def test_a_file_that_breaks_off_accepts_nothing_and_is_sent_again_from_the_same_form(
    quick: ServerProcess, tmp_path: Path
) -> None:
    good = [json.dumps({"title": f"Lamp {n}", "price": n}) for n in range(1_200)]
    file = tmp_path / "lamps.json"
    file.write_text(f"[{','.join(good)},{{]", encoding="utf-8")
    with console_of(quick, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        page.get_by_role("link", name="Upload a file").click()
        dialog(page).get_by_label("File").set_input_files(file)
        dialog(page).get_by_role("button", name="Upload").click()
        expect(dialog(page).get_by_role("alert")).to_contain_text("lamps.json")
        assert quick.query("{ products { totalCount } }") == {"products": {"totalCount": 0}}
        file.write_text(f"[{','.join(good)}]", encoding="utf-8")
        dialog(page).get_by_label("File").set_input_files(file)
        dialog(page).get_by_role("button", name="Upload").click()
        expect(dialog(page)).to_contain_text("1,200 accepted, 0 refused")
        dialog(page).locator("[data-receipt=APPLIED]").wait_for()
        dialog(page).get_by_role("button", name="Done").click()
        expect(page.locator(".summary")).to_contain_text("1,200 products")


def test_a_receipt_that_fails_while_one_looks_on_can_be_tried_again(quick: ServerProcess, tmp_path: Path) -> None:
    with console_of(quick, tmp_path) as visit:
        page = visit.page
        with quick.database.no_drain():
            write = quick.query("mutation { deleteProduct(productId: 77) { write { id } } }")["deleteProduct"]["write"]
            page.goto(f"/writes/{write['id']}")
            expect(page.locator("main [data-receipt=QUEUED]")).to_be_visible()
        expect(page.get_by_role("button", name="Retry")).to_be_visible()
        expect(page.locator(".notice")).to_contain_text("PRODUCT_NOT_FOUND")


def test_a_filter_that_cannot_be_meant_is_told_beside_it(quick: ServerProcess, tmp_path: Path) -> None:
    with console_of(quick, tmp_path) as visit:
        page = visit.page
        page.goto("/writes")
        page.get_by_label("Product id").fill("lamp")
        page.get_by_label("Product id").press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("'lamp' is not a record id")
        page.reload()
        visit.complaints.clear()  # the browser's own line about the status 400 of the page
        expect(page.get_by_label("Product id")).to_have_attribute("aria-invalid", "true")
        page.get_by_label("Product id").fill("")
        page.get_by_label("Product id").press("Enter")
        expect(page.get_by_text("No writes yet")).to_be_visible()
        page.goto("/products?min_price=1.234")
        expect(page.get_by_label("Price from")).to_have_attribute("aria-invalid", "true")
        visit.complaints.clear()


def test_a_page_whose_last_row_went_leads_back(quick: ServerProcess, tmp_path: Path) -> None:
    quick.query(CREATE_MANY, {"products": [{"title": f"Lamp {n:02d}", "price": 1.0} for n in range(51)]})
    with console_of(quick, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        page.get_by_role("link", name="Next").click()
        row(page, "Lamp 00").get_by_role("link", name="Delete").click()
        dialog(page).get_by_role("button", name="Delete").click()
        dialog(page).locator("[data-receipt=APPLIED]").wait_for()
        dialog(page).get_by_role("button", name="Done").click()
        expect(page.get_by_text("This page is empty")).to_be_visible()
        page.get_by_role("link", name="Go to the first page").click()
        expect(page.locator(ROWS)).to_have_count(50)


def test_a_session_that_ends_loses_no_form(make_server: MakeServer, tmp_path: Path) -> None:
    key = Key("ann", Role.WRITE, hash_of("aw_ann")).line
    server = make_server(API_KEYS=key, CONSOLE_POLL_SECONDS="1").start()
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        page.get_by_label("Key").fill("aw_ann")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Create product").click()
        fill(page, Title="Desk", Price="200")
        visit.context.clear_cookies()
        message = toast(page, "Your session has ended")
        with visit.context.expect_page() as opened:
            message.get_by_role("link", name="Sign in in another tab").click()
        opened.value.get_by_label("Key").fill("aw_ann")
        opened.value.keyboard.press("Enter")
        expect(opened.value.get_by_role("heading", name="Overview")).to_be_visible()
        opened.value.close()
        send = dialog(page).get_by_role("button", name="Create")
        send.click()  # with the token of the session before: refused, and the new one is taken
        toast(page, "carries no token of this session")
        send.click()
        dialog(page).locator("[data-receipt=APPLIED]").wait_for()
        visit.complaints = [text for text in visit.complaints if "401" not in text and "403" not in text]


def test_what_ends_out_of_sight_of_a_filter_is_told_too(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(STAGE_SECONDS="2", CONSOLE_POLL_SECONDS="1").start()
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/entries?status=STAGE_2")
        for _ in range(2):  # two of one name are two
            server.query('mutation { createEntry(title: "Hello") { id } }')
        expect(row(page, "Hello")).to_have_count(2, timeout=15_000)  # after two stages
        expect(page.locator(".toast", has_text="Hello completed")).to_have_count(2)


def test_a_limited_rate_is_told_once_and_kept_to(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(CONSOLE_POLL_SECONDS="1", RATE_LIMIT="4/minute").start()
    with console_of(server, tmp_path) as visit:
        page = visit.page
        with page.expect_response(lambda answer: answer.status == 429) as refused:
            page.goto("/products")
        expect(page.locator("body")).to_have_attribute("data-banner", re.compile("More requests than 4/minute"))
        assert int(refused.value.headers["retry-after"]) > 0
        expect(page.locator(".toast")).to_have_count(0)
        visit.complaints = [text for text in visit.complaints if "429" not in text]


def test_the_page_says_that_the_server_is_away_and_goes_on_when_it_is_back(
    make_server: MakeServer, tmp_path: Path
) -> None:
    server = make_server(CONSOLE_POLL_SECONDS="1").start()
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        page.get_by_role("link", name="Create product").click()
        fill(page, Title="Desk", Price="200")
        server.kill()
        dialog(page).get_by_role("button", name="Create").click()
        toast(page, "The server did not answer")
        server.start()
        dialog(page).get_by_role("button", name="Create").click()
        dialog(page).locator("[data-receipt=APPLIED]").wait_for()
        expect(page.locator(".toast", has_text="did not answer")).to_have_count(0)
        page.keyboard.press("Escape")
        expect(row(page, "Desk")).to_be_visible()
        visit.complaints = [text for text in visit.complaints if "ERR_" not in text and "fetch" not in text]


def test_pages_stay_light_whatever_is_on_them(quick: ServerProcess) -> None:
    title = ("Größe " * 50)[:300]
    picture = "https://pictures.example/" + "p" * 175
    products = [
        {"title": f"{n:03d}{title[3:]}", "price": 1.0, "category": f"Category {n}", "image": picture}
        for n in range(200)
    ]
    quick.query(CREATE_MANY, {"products": products})
    deep = "[" * 80 + ",".join("0" * 30_000) + "]" * 80
    with closing(quick.client()) as client:
        headers = {"Content-Type": "application/json"}
        payload = f'{{"payload": {{"products": [{{"title": "a", "price": 1, "x": {deep}}}]}}}}'
        status, _ = client.request("POST", "/api/process", payload.encode(), headers)
        assert status == 202
        for _ in range(30):
            client.request("POST", "/webhook", json.dumps({"x": "&" * 60_000}).encode(), headers)
        [task] = client.query("{ tasks { nodes { id } } }")["tasks"]["nodes"]
        for path in ("/products", "/process", f"/tasks/{task['id']}"):
            status, body = client.request("GET", path)
            assert (status, len(body) < 500_000) == (200, True), (path, len(body))
        status, body = client.request("GET", "/products")
        assert len(body) < 100_000
