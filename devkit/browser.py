"""Opens pages in an installed Chromium and records their requests and console errors."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, sync_playwright

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
    """A browser's tabs, the URLs that they requested, and their console errors and warnings."""

    context: BrowserContext
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page = self.new_tab()

    def new_tab(self) -> Page:
        """Open another recorded tab."""
        page = self.context.new_page()
        page.on("request", lambda request: self.requests.append(request.url[:200]))
        page.on("pageerror", lambda error: self.complaints.append(str(error)[:500]))
        page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text[:500]) if message.type in ("error", "warning") else None
            ),
        )
        return page

    @property
    def hosts(self) -> set[str]:
        """The hosts that received requests."""
        return {urlsplit(url).netloc for url in self.requests if not url.startswith(("data:", "blob:"))}


def find_chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def visiting(chromium: str, profile: Path, **options: Any) -> Iterator[Visit]:
    """Open a tab in a headless browser whose profile is in the folder ``profile``.

    ``options`` are those of Playwright's ``launch_persistent_context``, such as ``color_scheme``.
    """
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=FLAGS, **({"viewport": {"width": 1280, "height": 800}} | options)
        )
        context.set_default_timeout(TIMEOUT_MILLISECONDS)
        yield Visit(context)
        context.close()
