"""Opens the console of a real server in a real browser, and holds it to what is true of every page."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from npm_packages import missing
from playwright.sync_api import Locator, Page
from server_process import ServerProcess

from devkit.browser import Visit, find_chromium, visiting

ROWS = "tbody tr"
PLACES = ("/", "/products", "/writes", "/tasks", "/entries", "/process")


@contextmanager
def console_of(server: ServerProcess, folder: Path, **options: Any) -> Iterator[Visit]:
    """A browser at the console; at the end it must have asked this server only, and complained of nothing."""
    chromium = find_chromium()
    if chromium is None:
        missing("no Chromium is installed")
    with visiting(chromium, folder / "browser", **({"base_url": server.url} | options)) as visit:
        visit.context.set_default_timeout(15_000)
        yield visit
        assert visit.complaints == [], visit.complaints
        assert visit.hosts <= {f"127.0.0.1:{server.port}"}, visit.hosts


def dialog(page: Page) -> Locator:
    """The dialog, which must be open."""
    found = page.locator("dialog[open]")
    found.wait_for()
    return found


def fill(page: Page, **values: str) -> None:
    """Fill in the fields of the form in the dialog, by their labels."""
    for label, value in values.items():
        dialog(page).get_by_label(label.replace("_", " ")).fill(value)


def create_product(page: Page, title: str, price: str = "12.50", **fields: str) -> None:
    """Create a product as people do, and wait until it is applied."""
    page.get_by_role("link", name="Create product").click()
    fill(page, Title=title, Price=price, **fields)
    page.keyboard.press("Enter")
    dialog(page).locator("[data-receipt=APPLIED]").wait_for()
    dialog(page).get_by_role("button", name="Done").click()


def row(page: Page, text: str) -> Locator:
    """The row of a table that has a text."""
    return page.locator(ROWS, has_text=text)


def toast(page: Page, text: str) -> Locator:
    """The message that says this."""
    found = page.locator(".toast", has_text=text)
    found.first.wait_for()
    return found


def serious(page: Page, *rules: str) -> list[str]:
    """What axe-core finds serious or critical, by these rules or by all of them."""
    options = {"runOnly": rules} if rules else {}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]} {node['any'][0]['message'] if node['any'] else ''}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
