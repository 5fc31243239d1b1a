"""GraphQL client of the running server: ``python -m devkit.ask DOCUMENT [--variables JSON]``."""

import argparse
import http.client
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from devkit.errors import CommandError, run
from devkit.place import Place, place_from_environment

_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_MESSAGE_BYTES = 10_000
_SUBSCRIPTION = re.compile(r"(\s|#[^\n]*)*subscription\b")


def ask(place: Place, document: str, variables: dict[str, object] | None = None) -> Any:
    """Send a query or mutation; return the answer. Raises CommandError if no GraphQL server answers."""
    with _sent(place, document, variables or {}, "application/json", timeout_seconds=60) as response:
        text = response.read().decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(
            f"{place.url}/graphql did not answer with JSON: {text[:200]!r}. Check HOST and PORT"
        ) from error


def watch(place: Place, document: str, variables: dict[str, object]) -> Iterator[Any]:
    """Send a subscription and yield each event, until the stream ends.

    Speaks graphql-sse in distinct connections mode. Raises CommandError.
    """
    with _sent(place, document, variables, "text/event-stream", timeout_seconds=None) as response:
        if response.status != HTTPStatus.OK:
            raise CommandError(f"{place.url}/graphql answered {response.status}: {response.read(500).decode()}")
        for line in response:
            data = line.removeprefix(b"data:").strip()
            if line.startswith(b"data:") and data:
                yield json.loads(data)


def value_of(answer: Any, refusal: str) -> Any:
    """Return the only root field of an answer; raise CommandError, which begins with ``refusal``, if it has errors."""
    if not _is_fine(answer):
        raise CommandError(f"{refusal}: {_indented(answer)}")
    [value] = answer["data"].values()
    return value


def _is_fine(answer: Any) -> bool:
    return isinstance(answer, dict) and not answer.get("errors")


def _indented(answer: Any) -> str:
    return json.dumps(answer, indent=2, ensure_ascii=False)


@contextmanager
def _sent(
    place: Place, document: str, variables: dict[str, object], accept: str, *, timeout_seconds: float | None
) -> Iterator[http.client.HTTPResponse]:
    body = json.dumps({"query": document, "variables": variables})
    headers = {"Content-Type": "application/json", "Accept": accept, **authorization()}
    connection = http.client.HTTPConnection(place.local_host, place.port, timeout=timeout_seconds)
    try:
        connection.request("POST", "/graphql", body.encode(), headers)
        response = connection.getresponse()
        if response.status in _REFUSALS:
            raise _refusal(place.url, response.status, response.read(_MESSAGE_BYTES))
        yield response
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(f"no server answers at {place.url} ({error}): start one with `start` or `up`") from error
    finally:
        connection.close()


def authorization() -> dict[str, str]:
    """Return the Authorization header with the key in API_KEY; empty if it is not set."""
    secret = os.environ.get("API_KEY", "").strip()
    return {"Authorization": f"Bearer {secret}"} if secret else {}


def _refusal(url: str, status: int, body: bytes) -> CommandError:
    """Return the error for a server that rejects the key or requires one."""
    try:
        message = str(json.loads(body)["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        message = body[:200].decode("utf-8", "replace")
    advice = "put another key into API_KEY" if authorization() else "put a key into the environment variable API_KEY"
    return CommandError(f"{url} answered {status}: {message}. If this is your server, {advice}; `key add` makes one")


def parser(program: str) -> argparse.ArgumentParser:
    """Return the argument parser; DOCUMENT is optional, `-` reads standard input."""
    found = argparse.ArgumentParser(prog=program, description="Send a GraphQL document to the running server.")
    found.add_argument("document", nargs="?", metavar="DOCUMENT", help="the document, or - for standard input")
    found.add_argument("--variables", type=_object, default={}, metavar="JSON", help="its variables, a JSON object")
    return found


def send(place: Place, options: argparse.Namespace) -> int:
    """Send the document, print the answer or each event, and return 0 if there are no errors."""
    document = _standard_input() if options.document == "-" else options.document
    is_stream = _SUBSCRIPTION.match(document)
    answers = watch(place, document, options.variables) if is_stream else [ask(place, document, options.variables)]
    all_fine = True
    for answer in answers:
        sys.stdout.write(_indented(answer) + "\n")
        sys.stdout.flush()
        all_fine = all_fine and _is_fine(answer)
    return 0 if all_fine else 1


def _standard_input() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise CommandError(f"standard input is not UTF-8 ({error}): save the document as UTF-8") from error


def _object(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"not a JSON object: {text}")
    return found


def main(arguments: list[str]) -> int:
    """Run the command inside a container."""
    reader = parser("python -m devkit.ask")
    options = reader.parse_args(arguments)
    if options.document is None:
        reader.error("DOCUMENT is missing, for example '{ queue { depth } }'")
    return send(place_from_environment(), options)


if __name__ == "__main__":
    run(main)
