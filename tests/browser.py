"""Opens pages in an installed Chromium, and notes what they ask of the network and say in the console."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT_MILLISECONDS = 60_000


@dataclass
class Visit:
    """One tab, the URLs that it asked for, and the errors and warnings of its console."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def find_chromium() -> str | None:
    """The path of an installed Chromium or Chrome."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def visiting(chromium: str, profile: Path) -> Iterator[Visit]:
    """A tab of a headless browser with a profile of its own in the folder ``profile``."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=FLAGS, viewport={"width": 1280, "height": 800}
        )
        context.set_default_timeout(TIMEOUT_MILLISECONDS)
        visit = Visit(context.new_page())
        visit.page.on("request", lambda request: visit.requests.append(request.url[:200]))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)[:500]))
        visit.page.on(
            "console",
            lambda message: (
                visit.complaints.append(message.text[:500]) if message.type in ("error", "warning") else None
            ),
        )
        yield visit
        context.close()
