"""Takes the screenshots of the docs from a running server: ``python -m devkit.screenshots FOLDER``."""

import itertools
import math
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devkit.ask import ask, value_of
from devkit.browser import find_chromium, visiting
from devkit.errors import CommandError, run
from devkit.place import Place, place_from_environment

PAGES = {"overview": "/", "products": "/products", "tasks": "/tasks", "entries": "/entries"}
SCHEMES = ("light", "dark")
_BUSY_SECONDS = 90  # fills the overview's charts, which cover five minutes
_WRITES_A_SECOND = 40
_STAGES_DIFFER_SECONDS = 2.5  # staggers the entries, so that each is at another stage

_UPDATE = "mutation($id: ID!, $price: Float!) { updateProduct(productId: $id, price: $price) { success } }"
_DELETE = "mutation { deleteProduct(productId: 4711) { success } }"
_CUSTOMER = """mutation { createStripeCustomerTask(email: "ada@example.com", name: "Ada Lovelace") { id } }"""
_PAYMENT = """mutation { createStripePaymentTask(amount: 4999, currency: "eur", customerId: "cus_demo") { id } }"""
_PROCESS = """mutation { createProcess(payload: {products: [{title: "Lamp", price: 12.5}]}) { id } }"""
_BROKEN = """mutation { createProcess(payload: {products: [{title: "", price: 12.5}]}) { id } }"""
_ENTRY = "mutation($title: String!) { createEntry(title: $title) { id } }"
_ENTRIES = ("Import the spring catalogue", "Check the prices", "Send the newsletter")


def take(place: Place, folder: Path) -> list[Path]:
    """Generate load for a while, take every page in both color schemes, and return the files."""
    chromium = find_chromium()
    if chromium is None:
        raise CommandError("Chromium is not installed: install it, on Debian with `apt-get install chromium`")
    folder.mkdir(parents=True, exist_ok=True)
    for document in (_DELETE, _CUSTOMER, _PAYMENT, _PROCESS, _BROKEN):
        _send(place, document)
    with _at_work(place):
        time.sleep(_BUSY_SECONDS)
        return [path for scheme in SCHEMES for path in _pictures(place, chromium, scheme, folder)]


def _pictures(place: Place, chromium: str, scheme: str, folder: Path) -> list[Path]:
    size: Any = {"width": 1280, "height": 800}
    options: Any = {"color_scheme": scheme, "viewport": size, "base_url": place.url}
    taken = []
    with tempfile.TemporaryDirectory() as profile, visiting(chromium, Path(profile), **options) as visit:
        for name, path in PAGES.items():
            if name == "entries":
                _begin_entries(place)
            taken.append(folder / f"{name}-{scheme}.png")
            visit.page.goto(path)
            visit.page.wait_for_load_state("networkidle")
            visit.page.screenshot(path=taken[-1])
    return taken


def _begin_entries(place: Place) -> None:
    for title in _ENTRIES:
        _send(place, _ENTRY, title=title)
        time.sleep(_STAGES_DIFFER_SECONDS)


@contextmanager
def _at_work(place: Place) -> Iterator[None]:
    """Update prices in the background, at a varying rate."""
    enough = threading.Event()
    worker = threading.Thread(target=_work, args=(place, enough))
    worker.start()
    try:
        yield
    finally:
        enough.set()
        worker.join()


def _work(place: Place, enough: threading.Event) -> None:
    products = _send(place, "{ allProducts(first: 20) { id price } }")
    started = time.monotonic()
    for product in itertools.cycle(products):
        _send(place, _UPDATE, id=product["id"], price=product["price"])
        if enough.wait((1.2 + math.sin((time.monotonic() - started) / 9)) / _WRITES_A_SECOND):
            return


def _send(place: Place, document: str, **variables: object) -> Any:
    return value_of(ask(place, document, variables), "the server rejected a request for the screenshots")


def main(arguments: list[str]) -> int:
    """Take the screenshots of the server at HOST and PORT."""
    if len(arguments) != 1:
        sys.exit("FOLDER is missing: give the target folder, such as docs/screenshots")
    for path in take(place_from_environment(), Path(arguments[0])):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    run(main)
