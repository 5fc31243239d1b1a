"""Sends the requests of the tests to one server, and shows them if told to."""

import http.client
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 30
WATCH_SECONDS = 60


class Failed(Exception):
    """An answer was not what the test expects."""


class Skipped(Exception):
    """The test does not fit this server."""


class Unreachable(Exception):
    """Nobody answers at the address."""


class NotAllowed(Unreachable):
    """The server wants a key, or one that may do more."""


def expect(holds: object, otherwise: str) -> None:
    """Raise Failed with `otherwise` unless `holds`."""
    if not holds:
        raise Failed(otherwise)


class Reply(NamedTuple):
    """What a route answered; ``body`` is read from JSON, or the text where it is none."""

    status: int
    headers: http.client.HTTPMessage
    body: Any


class Api:
    """Sends requests to one server and, if told to, shows each with its response."""

    def __init__(self, url: str, shows: bool, key: str = "") -> None:
        """``key`` is shown with every request. Raises Unreachable for what is no address."""
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unreachable(f"{url!r} is no address of a server: give --url http://HOST:PORT")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = partial(kind, parts.netloc, timeout=TIMEOUT_SECONDS)
        self._base = parts.path
        self._shows = shows
        self._key = {"Authorization": f"Bearer {key}"} if key else {}

    def get(self, path: str) -> tuple[int, Any]:
        """Send a GET; return status and JSON."""
        reply = self.rest("GET", path)
        return reply.status, reply.body

    def rest(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send a request, `body` as JSON; in the names of headers `_` stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with self._sent(method, path, body, {"Accept": "application/json", **named}) as response:
            text = response.read().decode()
        reply = Reply(response.status, response.headers, _json_or_text(text))
        self._show("RESPONSE", f"{response.status} {response.reason}", reply.body)
        return reply

    def answer(self, document: str, **variables: Any) -> dict[str, Any]:
        """Send a GraphQL document; return the whole answer, errors and all."""
        reply = self.rest("POST", "/graphql", _parameters(document, variables))
        expect(
            reply.status == 200 and isinstance(reply.body, dict),
            f"status {reply.status}, not 200: {reply.body}",
        )
        whole: dict[str, Any] = reply.body
        return whole

    def data(self, document: str, **variables: Any) -> Any:
        """Send a GraphQL document; return its `data`; Failed if it has errors."""
        answer = self.answer(document, **variables)
        expect("errors" not in answer, f"errors in the answer: {answer.get('errors')}")
        return answer["data"]

    def watch(self, document: str, **variables: Any) -> Iterator[Any]:
        """Send a subscription; yield the `data` of each server-sent event, until the stream is complete.

        Raises Failed for an error, and for a stream that is not complete after WATCH_SECONDS, which is noticed because
        the server sends a sign of life every few seconds.
        """
        deadline = time.monotonic() + WATCH_SECONDS
        headers = {"Accept": "text/event-stream"}
        with self._sent("POST", "/graphql", _parameters(document, variables), headers) as response:
            self._show("RESPONSE", f"{response.status} {response.reason}", None)
            if response.status != 200:
                raise Failed(f"status {response.status}, not 200: {response.read()[:500]!r}")
            for line in response:
                expect(time.monotonic() < deadline, f"not complete after {WATCH_SECONDS} s")
                name, _, value = line.decode().rstrip("\r\n").partition(":")
                if name == "event" and value.strip() == "complete":
                    return
                if name == "data" and value.strip():
                    event = json.loads(value)
                    self._show("EVENT", "", event)
                    expect("errors" not in event, f"errors in an event: {event.get('errors')}")
                    yield event["data"]
        raise Failed("the stream broke off before it was complete")

    @contextmanager
    def _sent(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        self._show("REQUEST", f"{method} {self.url}{path}", body)
        text = None if body is None else json.dumps(body)
        kind = {} if body is None else {"Content-Type": "application/json"}
        connection = self._connection()
        try:
            connection.request(method, self._base + path, text, kind | self._key | headers)
            response = connection.getresponse()
            self._require_allowed(response)
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                f"{self.url} does not answer ({error}): start the server, or give --url http://HOST:PORT"
            ) from error
        finally:
            connection.close()

    def _require_allowed(self, response: http.client.HTTPResponse) -> None:
        """Raises NotAllowed; what a test asks for without a right to it, such as a bad signature, has other codes."""
        if response.status not in (401, 403) or not response.headers.get_content_type().endswith("json"):
            return
        said = json.loads(response.peek().decode())
        told = said["errors"][0]["extensions"] | said["errors"][0] if "errors" in said else said
        if told.get("code") in ("UNAUTHENTICATED", "FORBIDDEN"):
            raise NotAllowed(
                f"{self.url} answered {response.status}: {told.get('message') or told.get('detail')}. The tests need "
                "a key with the role admin: give --key KEY, or set API_KEY"
            )

    def _show(self, title: str, line: str, body: Any) -> None:
        if not self._shows:
            return
        shown = [
            f"--- {title} ---",
            line,
            "" if body is None else json.dumps(body, indent=2, ensure_ascii=False),
        ]
        sys.stdout.write("\n".join(filter(None, shown)) + "\n")


def _parameters(document: str, variables: dict[str, Any]) -> dict[str, Any]:
    return {"query": document, "variables": variables} if variables else {"query": document}


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
