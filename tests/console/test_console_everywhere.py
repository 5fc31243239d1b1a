"""What is true of every page of the console, in a real browser: for everybody, in every width, whatever it shows."""

import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from console_pages import PLACES, ROWS, console_of, create_product, dialog, fill, row, serious
from playwright.sync_api import Page, Route, expect
from server_process import ServerProcess, wait_until

pytestmark = pytest.mark.one_database("how pages look and are operated")

MakeServer = Callable[..., ServerProcess]
# Scripts and markup; each would change the title of the page if it ran.
EVIL = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script></td>'\"{{7*7}}"
OPENERS = (("/products", "Create product"), ("/tasks", "Create payment"), ("/entries", "Create entry"))
FORMS = ("/products/new", "/products/upload", "/tasks/new/payment", "/tasks/prune", "/entries/new", "/process/new")
CREATE = """
mutation ($title: String!, $description: String, $category: String, $price: Float!) {
  createProductSync(title: $title, description: $description, category: $category, price: $price) { success }
}"""
CREATE_MANY = "mutation ($products: [ProductInput!]!) { createProducts(products: $products) { success } }"
CUSTOMER = """
mutation ($name: String!, $id: String) {
  createStripeCustomerTask(email: "a@b.example", name: $name, correlationId: $id) { id }
}"""
PROCESS = """
mutation ($products: JSON!, $url: String) {
  createProcess(payload: $products, callbackUrl: $url) { id correlationId }
}"""
UNFINISHED = "{ waiting: tasks(status: PENDING) { nodes { id } } running: tasks(status: PROCESSING) { nodes { id } } }"
COUNT_SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => {
  for (const shift of list.getEntries()) if (!shift.hadRecentInput) window.shifts += 1;
}).observe({ type: "layout-shift", buffered: true });
"""
IS_PAINTED = """
document.readyState == "interactive" && performance.getEntriesByName("first-contentful-paint").length
"""
AFTER_TWO_FRAMES = """
new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(window.shifts))))
"""


@pytest.fixture
def furnished(make_server: MakeServer) -> ServerProcess:
    """A server with something on every page, all of it named as an attacker would."""
    server = make_server(STAGE_SECONDS="0", WEBHOOK_ALLOW_PRIVATE="on").start()
    with closing(server.client()) as client:
        fields = {"title": EVIL, "description": EVIL, "category": EVIL[:100], "price": 1.0}
        client.query(CREATE, fields)
        client.query("mutation { deleteProduct(productId: 77) { success } }")
        client.query("mutation ($title: String!) { createEntry(title: $title) { id } }", {"title": EVIL})
        client.query(CUSTOMER, {"name": EVIL, "id": EVIL[:200]})
        products = {"products": [{"title": EVIL, "price": EVIL}]}
        made = client.query(PROCESS, {"products": products, "url": f"{server.url}/webhook"})["createProcess"]
        event = json.dumps({"correlation_id": made["correlationId"], "text": EVIL}).encode()
        headers = {"Content-Type": "application/json", "Webhook-Id": "<script>document.title='run'</script>"}
        client.request("POST", "/webhook", event, headers)
        wait_until(lambda: client.query("{ tasks(status: PENDING) { totalCount } }")["tasks"]["totalCount"] == 0)
    return server


def all_pages(server: ServerProcess) -> list[str]:
    """The path of every page there is, with something on it."""
    found = server.query(
        "{ products { nodes { id } } writes { nodes { id } } tasks { nodes { id type correlationId } } }"
    )
    [product], tasks = found["products"]["nodes"], found["tasks"]["nodes"]
    correlation_id = next(task["correlationId"] for task in tasks if task["type"] == "process_products")
    failed = next(task["id"] for task in tasks if task["type"] == "process_products")
    entry = next(task["id"] for task in tasks if task["type"] == "entry")
    return [
        *PLACES,
        *FORMS,
        f"/products/{product['id']}",
        f"/products/{product['id']}/delete",
        *(f"/writes/{write['id']}" for write in found["writes"]["nodes"]),
        f"/tasks/{failed}",
        f"/tasks/{entry}",
        f"/process/{correlation_id}",
        "/sign-in",
    ]


def open_graphiql(page: Page) -> None:
    """GraphiQL, when it is all there."""
    page.goto("/graphql")
    page.locator(".graphiql-query-editor .CodeMirror-line").first.wait_for()
    page.locator(".graphiql-query-editor textarea[aria-label]").wait_for(state="attached")


def test_every_page_can_be_used_by_everybody(furnished: ServerProcess, tmp_path: Path) -> None:
    """axe-core finds nothing serious or critical: labels, names, roles, order, contrast in light and in dark."""
    with console_of(furnished, tmp_path, reduced_motion="reduce") as visit:
        page = visit.page
        for path in all_pages(furnished):
            page.goto(path)
            assert serious(page) == [], path
            page.emulate_media(color_scheme="dark")
            assert serious(page, "color-contrast") == [], path
            page.emulate_media(color_scheme="light")
        open_graphiql(page)
        assert serious(page) == []
        page.emulate_media(color_scheme="dark")
        assert serious(page) == []
        page.emulate_media(color_scheme="light")
        for place, opener in OPENERS:
            page.goto(place)
            page.get_by_role("link", name=opener).click()
            dialog(page)
            assert serious(page) == [], opener
            page.keyboard.press("Enter")
            dialog(page).locator("[aria-invalid]").first.wait_for()
            assert serious(page) == [], opener
            page.emulate_media(color_scheme="dark")
            assert serious(page, "color-contrast") == [], opener
            page.emulate_media(color_scheme="light")


def test_scripts_and_markup_are_shown_as_text_everywhere(furnished: ServerProcess, tmp_path: Path) -> None:
    with console_of(furnished, tmp_path) as visit:
        page = visit.page
        shown = 0
        for path in all_pages(furnished):
            page.goto(path)
            assert page.title() != "run"
            assert page.locator("main img[src=x], main script").count() == 0, path
            shown += page.get_by_text("document.title='run'").count()
            shown += sum(
                "document.title='run'" in field.input_value()
                for field in page.locator("main input:not([type=file]), main textarea").all()
            )
        assert shown >= 12  # title, description, category, name, payload, error, result, event: as text
        page.goto("/products")
        page.get_by_role("link", name="Upload a file").click()
        evil = tmp_path / "<img src=x onerror=alert(1)>.csv"
        evil.write_text("title,price\n<b onclick=alert(1)>x</b>,<script>\n", encoding="utf-8")
        dialog(page).get_by_label("File").set_input_files(evil)
        dialog(page).get_by_role("button", name="Upload").click()
        expect(dialog(page)).to_contain_text("<img src=x onerror=alert(1)>.csv: 0 accepted, 1 refused.")
        expect(dialog(page)).to_contain_text("price is '<script>'")


@pytest.mark.parametrize("width", [375, 1440])
def test_every_page_fits_its_window(furnished: ServerProcess, tmp_path: Path, width: int) -> None:
    with console_of(furnished, tmp_path, viewport={"width": width, "height": 800}) as visit:
        page = visit.page
        for path in all_pages(furnished):
            page.goto(path)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, (path, wide)
            for control in page.locator("main a.button, main button, main input:not([type=hidden])").all():
                box = control.bounding_box()
                assert box is None or box["x"] + box["width"] <= width, (path, control.inner_text())


def test_the_dialogs_are_used_by_keyboard_alone(server: ServerProcess, tmp_path: Path) -> None:
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        page.keyboard.press("Tab")
        expect(page.get_by_text("Skip to the content")).to_be_focused()
        tab_to(page, "Create product")
        page.keyboard.press("Enter")
        expect(dialog(page).get_by_label("Title")).to_be_focused()
        page.keyboard.type("Desk")
        page.keyboard.press("Tab")
        page.keyboard.type("200")
        for _ in range(40):  # around and around, and never out of the dialog
            page.keyboard.press("Tab")
            assert page.evaluate(
                "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
            )
        tab_to(page, "Create")
        page.keyboard.press("Space")
        dialog(page).locator("[data-receipt=APPLIED]").wait_for()
        expect(dialog(page).get_by_role("button", name="Done")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("dialog[open]")).to_have_count(0)
        expect(page.get_by_role("link", name="Create product")).to_be_focused()

        tab_to(page, "Delete")
        page.keyboard.press("Enter")
        expect(dialog(page).get_by_role("button", name="Keep it")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)
        expect(page.get_by_role("link", name="Delete Desk")).to_be_focused()
        page.keyboard.press("Enter")
        expect(dialog(page).get_by_role("button", name="Keep it")).to_be_focused()
        tab_to(page, "Delete")
        page.keyboard.press("Enter")
        dialog(page).locator("[data-receipt=APPLIED]").wait_for()
        page.keyboard.press("Escape")
        expect(page.get_by_text("No products yet")).to_be_visible()

        page.goto("/entries")
        tab_to(page, "Create entry")
        page.keyboard.press("Enter")
        expect(dialog(page).get_by_label("Title")).to_be_focused()
        page.keyboard.type("Hello")
        page.keyboard.press("Enter")
        expect(row(page, "Hello")).to_be_visible()


def tab_to(page: Page, text: str) -> None:
    """Press Tab until what has the focus says this; its outline must show."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == text:
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            return
    raise AssertionError(f"{text} is not reached with Tab")


def test_two_tabs_see_what_each_other_does(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(CONSOLE_POLL_SECONDS="1", STAGE_SECONDS="0").start()
    with console_of(server, tmp_path) as visit:
        one, other = visit.page, visit.new_tab()
        one.goto("/products")
        other.goto("/products")
        create_product(one, "Desk", "200")
        expect(row(other, "Desk")).to_be_visible()
        row(other, "Desk").get_by_role("link", name="Edit").click()
        fill(other, Title="Big desk")
        other.keyboard.press("Enter")
        expect(row(one, "Big desk")).to_be_visible()

        other.goto("/entries")
        one.goto("/entries")
        one.get_by_role("link", name="Create entry").click()
        fill(one, Title="Hello")
        one.keyboard.press("Enter")
        expect(row(other, "Hello")).to_contain_text("COMPLETED")


def test_an_open_page_moves_nothing_while_it_looks_again(make_server: MakeServer, tmp_path: Path) -> None:
    """What has the focus keeps it, what is open stays open, nothing jumps; unchanged pages come as 304."""
    server = make_server(CONSOLE_POLL_SECONDS="1", STAGE_SECONDS="0").start()
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.add_init_script(COUNT_SHIFTS)
        page.goto("/products")
        create_product(page, "Desk", "200")
        create_product(page, "Chair", "80")
        expect(row(page, "Chair")).to_be_visible()
        edit = row(page, "Desk").get_by_role("link", name="Edit")
        edit.focus()
        place = edit.bounding_box()
        with page.expect_response(lambda answer: answer.status == 304):
            page.wait_for_load_state()
        page.evaluate("window.shifts = 0")
        server.query("mutation { updateProduct(productId: 2, price: 81) { success } }")
        expect(row(page, "Chair")).to_contain_text("81.00")
        expect(edit).to_be_focused()
        assert edit.bounding_box() == place
        assert page.evaluate("new Promise(done => requestAnimationFrame(() => done(window.shifts)))") == 0
        times = page.locator(f"{ROWS} time").first
        expect(times).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC$"))
        expect(times).to_contain_text("ago")


@pytest.mark.parametrize("width", [375, 1280])
def test_a_page_moves_nothing_when_its_scripts_come_after_its_first_paint(
    make_server: MakeServer, tmp_path: Path, width: int
) -> None:
    server = make_server(STAGE_SECONDS="0").start()
    products = [{"title": f"Lamp of the series {n}", "price": 1.0 + n} for n in range(10)]
    server.query(CREATE_MANY, {"products": products})
    for number in range(10):
        server.query(f'mutation {{ updateProduct(productId: 99{number}, title: "x") {{ success }} }}')
        server.query(CUSTOMER, {"name": "Ann"})
        server.query(f'mutation {{ createEntry(title: "Entry {number}") {{ id }} }}')
    wait_until(lambda: server.query("{ writes(status: FAILED) { nodes { id } } }")["writes"]["nodes"][9:])
    wait_until(lambda: not any(found["nodes"] for found in server.query(UNFINISHED).values()))  # rows of tasks move
    with console_of(server, tmp_path, viewport={"width": width, "height": 800}) as visit:
        page = visit.page
        page.add_init_script(COUNT_SHIFTS)
        for path in PLACES:
            _paint_before_scripts(page, path)
            assert page.evaluate(AFTER_TWO_FRAMES) == 0, path


def _paint_before_scripts(page: Page, path: str) -> None:
    """Open a page whose scripts come after the browser has painted it."""
    held: list[Route] = []
    page.route("**/refresh.js*", lambda route: held.append(route))
    page.goto(path, wait_until="commit")
    wait_until(lambda: page.evaluate(IS_PAINTED) and held)
    held[0].continue_()
    page.unroute("**/refresh.js*")
    page.wait_for_load_state()
