"""A client of the console without a browser: keeps cookies, and sends forms with the token of its session."""

import re
from typing import Any
from urllib.parse import urlencode

import httpx
from server_process import ServerProcess

_TOKEN = re.compile(r'<meta name="csrf-token" content="([^"]+)">')


class ConsoleClient:
    """One visitor of one server, with the cookies of a browser."""

    def __init__(self, server: ServerProcess) -> None:
        self.http = httpx.Client(base_url=server.url, headers={"Accept": "text/html"}, timeout=30)
        self.token = ""

    def get(self, path: str, **headers: str) -> httpx.Response:
        """The page; redirects are not followed. Remembers the token of its forms."""
        answer = self.http.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        if found := _TOKEN.search(answer.text):
            self.token = found[1]
        return answer

    def post(self, path: str, fields: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        """Send a form as a page without scripts does."""
        given = {"csrf_token": self.token, **(fields or {})}
        if "files" in options:
            return self.http.post(path, data=given, **options)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} | options.pop("headers", {})
        return self.http.post(path, content=urlencode(given), headers=headers, **options)

    def sign_in(self, secret: str) -> httpx.Response:
        """Sign in with a key."""
        self.get("/sign-in")
        answer = self.post("/sign-in", {"key": secret})
        self.get("/")
        return answer
