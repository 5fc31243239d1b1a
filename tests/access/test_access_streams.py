"""Event streams and keys: who may no longer read is told so and reads no more; nobody takes every place."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from access_site import KEYS, SECRETS, Site, bearer, code_of, site_over
from server_process import Client, ServerProcess

from afterwrite.access.key_file import add_key, remove_key
from afterwrite.access.keys import Key, hash_of
from afterwrite.access.roles import Role
from afterwrite.graphql_http.errors import HttpRefusal
from afterwrite.graphql_http.streams import StreamSlots

pytestmark = pytest.mark.one_database("keys are files")

TASKS = f"/graphql?query={quote('subscription { tasksUpdated { status } }')}"
ACCEPT = {"Accept": "text/event-stream"}
MakeServer = Callable[..., ServerProcess]


@contextlib.contextmanager
def stream(server: ServerProcess, headers: dict[str, str]) -> Iterator[HTTPResponse]:
    """An open stream of all tasks, of which the first bytes have come."""
    with contextlib.closing(server.client()) as client:
        client.connection.request("GET", TASKS, headers=ACCEPT | headers)
        with contextlib.closing(client.connection.getresponse()) as answer:
            assert answer.status == 200
            assert (answer.readline(), answer.readline()) == (b":\n", b"\n")
            yield answer


def last_code(answer: HTTPResponse) -> str:
    """The code with which the stream ends."""
    *_, result, complete, rest = answer.read().decode().split("\n\n")
    assert (complete, rest) == ("event: complete\ndata:", "")
    [error] = json.loads(result.removeprefix("event: next\ndata: "))["errors"]
    code: str = error["extensions"]["code"]
    return code


def test_a_stream_ends_when_its_key_is_removed(make_server: MakeServer) -> None:
    server = make_server(API_KEYS=KEYS)
    path = server.data_dir / "api-keys"
    add_key(path, Key("ann", Role.READ, hash_of("aw_ann")))
    server.start()
    with stream(server, {"Authorization": "Bearer aw_ann"}) as of_ann, stream(server, bearer(Role.READ)) as other:
        remove_key(path, "ann")
        assert last_code(of_ann) == "UNAUTHENTICATED"
        client = server.client()
        headers = {"Content-Type": "application/json", **bearer(Role.WRITE)}
        assert client.request("POST", "/api/entries", b'{"title": "x"}', headers)[0] == 201
        client.close()
        lines = iter(other.readline, b"")
        assert any(b"tasksUpdated" in line for line in lines)


def test_a_stream_of_an_open_server_ends_with_the_first_key(make_server: MakeServer) -> None:
    server = make_server().start()
    with stream(server, {}) as answer:
        add_key(server.data_dir / "api-keys", Key("ann", Role.READ, hash_of("aw_ann")))
        assert last_code(answer) == "UNAUTHENTICATED"


def signed_in(server: ServerProcess) -> tuple[Client, dict[str, str]]:
    """A browser that has signed in: its connection, and what it sends with each request."""
    client = server.client()

    def ask(method: str, path: str, body: bytes | None = None, **headers: str) -> HTTPResponse:
        client.connection.request(method, path, body, headers)
        return client.connection.getresponse()

    page = ask("GET", "/sign-in")
    cookie, token = _cookie(page), _token(page)
    form = f"csrf_token={token}&key={SECRETS[Role.READ]}".encode()
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    answer = ask("POST", "/sign-in", form, **headers)
    assert answer.status == 303
    answer.read()
    cookie = _cookie(answer)
    page = ask("GET", "/products", Cookie=cookie)
    renewed = page.headers["Set-Cookie"]
    return client, {"Cookie": renewed.partition(";")[0] if renewed else cookie, "X-CSRF-Token": _token(page)}


def _cookie(answer: HTTPResponse) -> str:
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


def _token(page: HTTPResponse) -> str:
    found = re.search(r'name="csrf-token" content="([^"]+)"', page.read().decode())
    assert found is not None
    return found[1]


def test_a_stream_ends_when_its_session_is_signed_out(make_server: MakeServer) -> None:
    server = make_server(API_KEYS=KEYS).start()
    client, headers = signed_in(server)
    with stream(server, headers) as answer:
        assert client.request("POST", "/sign-out", b"", headers)[0] == 303
        assert last_code(answer) == "UNAUTHENTICATED"
    client.close()


def test_one_key_has_half_of_the_streams(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", max_streams=4) as site:
        opened = [open_stream(site, Role.READ) for _ in range(2)]
        refused = open_stream(site, Role.READ)
        assert (refused.status_code, code_of(refused)) == (503, "TOO_MANY_STREAMS")
        assert refused.get_json()["errors"][0]["extensions"]["maximum"] == 2
        opened += [open_stream(site, Role.WRITE), open_stream(site, Role.ADMIN)]
        assert [answer.status_code for answer in opened] == [200] * 4
        assert open_stream(site, Role.ADMIN).status_code == 503
        opened.pop(0).close()
        opened.append(open_stream(site, Role.READ))
        assert opened[-1].status_code == 200
        for answer in opened:
            answer.close()


def test_on_an_open_server_nobody_is_told_apart(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", api_keys="", max_streams=4) as site:
        opened = [open_stream(site) for _ in range(4)]
        assert [answer.status_code for answer in opened] == [200] * 4
        for answer in opened:
            answer.close()


def test_an_address_without_a_key_has_half_of_the_streams(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", api_keys="", allow_anonymous="read", max_streams=2) as site:
        first = open_stream(site)
        assert open_stream(site).status_code == 503
        elsewhere = open_stream(site, environ_overrides={"REMOTE_ADDR": "203.0.113.7"})
        assert elsewhere.status_code == 200
        first.close()
        elsewhere.close()


def test_one_place_is_for_whoever_comes_first() -> None:
    slots = StreamSlots(1)
    slots.take("ann")
    for holder in ("ann", "bob", None):
        with pytest.raises(HttpRefusal):
            slots.take(holder)
    slots.give_back("ann")
    slots.take("bob")


def open_stream(site: Site, role: Role = Role.NOBODY, **options: Any) -> Any:
    return site.send("GET", TASKS, role, headers=ACCEPT, **options)
