"""Drives a headless Chromium over its debugging pipe, with the standard library alone.

The protocol: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,800",
    "--remote-debugging-pipe",
)

# The browser wants its pipe at the file descriptors 3 and 4. The third copy of a descriptor is neither.
LAUNCHER = """
import os, sys
read, write = (os.dup(os.dup(os.dup(int(fd)))) for fd in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """One tab. It remembers what was asked of the network and what was wrong in the console."""

    def __init__(self, write: int, read: int, timeout_seconds: float) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._write = write
        self._read = read
        self._timeout_seconds = timeout_seconds
        self._buffer = b""
        self._last_id = 0
        self._session: dict[str, str] = {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        for domain in ("Network", "Runtime", "Log", "Page"):
            self.call(f"{domain}.enable")

    def open(self, url: str) -> None:
        """Starts to load a page; `wait_for` says when it is there."""
        self.call("Page.navigate", url=url)

    def wait_for(self, condition: str) -> None:
        """Waits until the JavaScript expression is true; it is looked at before every frame."""
        look = f"() => ({condition}) ? resolve(true) : requestAnimationFrame(look)"
        self.evaluate(f"new Promise((resolve) => {{ const look = {look}; look(); }})")

    def evaluate(self, expression: str) -> Any:
        """Returns what the JavaScript expression gives, after waiting for it if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Returns what the browser answers to one command of the protocol."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters, **self._session}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            answer = self._receive(method, deadline)
            if answer.get("id") == self._last_id:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _receive(self, method: str, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                raise TimeoutError(
                    f"{method} took over {self._timeout_seconds} s; console: {self.complaints}"
                )
            more = os.read(self._read, 1 << 20)
            assert more, f"the browser ended during {method}"
            self._buffer += more
        text, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        match event:
            case {"method": "Network.requestWillBeSent", "params": {"request": {"url": url}}}:
                self.requests.append(url[:200])
            case {"method": "Runtime.exceptionThrown", "params": details}:
                self.complaints.append(json.dumps(details)[:500])
            case {"method": "Runtime.consoleAPICalled", "params": {"type": "error" | "warning"} as details}:
                self.complaints.append(json.dumps(details["args"])[:500])
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error" | "warning"} as entry}}:
                self.complaints.append(f"{entry['text']} {entry.get('url', '')}"[:500])


def find_chromium() -> str | None:
    """Returns the path of an installed Chromium or Chrome."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def browsing(chromium: str, profile: Path, timeout_seconds: float = 60) -> Iterator[Page]:
    """Runs a browser with a profile of its own in the folder `profile`, and gives one page of it."""
    to_browser_read, to_browser_write = os.pipe()
    from_browser_read, from_browser_write = os.pipe()
    launcher = [sys.executable, "-c", LAUNCHER, str(to_browser_read), str(from_browser_write)]
    with (profile / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [*launcher, chromium, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(to_browser_read, from_browser_write),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    os.close(to_browser_read)
    os.close(from_browser_write)
    try:
        page = Page(to_browser_write, from_browser_read, timeout_seconds)
        yield page
        page.call("Browser.close")
    finally:
        process.kill()
        process.wait()
        os.close(to_browser_write)
        os.close(from_browser_read)
