"""Pages of another origin use the API in a real browser where CORS_ORIGINS names them, and nowhere else."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from access_site import KEYS, SECRETS, Site, bearer, site_over
from npm_packages import missing
from playwright.sync_api import Error, Page
from server_process import ServerProcess, free_port

from afterwrite.access.cors import origins_of
from afterwrite.access.roles import Role
from afterwrite.access.start import check_access
from afterwrite.base.settings import Settings, SettingsError
from devkit.browser import find_chromium, visiting

pytestmark = pytest.mark.one_database("what browsers may read has nothing to do with databases")

SHOP = "https://shop.example"
CREATE = "mutation ($t: String!) { createProductSync(title: $t, price: 1) { product { id } write { id } } }"
TITLES = "{ products(first: 500) { nodes { title } } }"
SETTLED = "subscription ($id: ID!) { writeSettled(id: $id) { status } }"
FETCH = """async ([url, options]) => {
    const answer = await fetch(url, options);
    return {status: answer.status, headers: Object.fromEntries(answer.headers), text: await answer.text()};
}"""


class _BlankPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def _origin(port: int) -> Iterator[str]:
    """The origin of an empty page."""
    with ThreadingHTTPServer(("127.0.0.1", port), _BlankPage) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{port}"
        server.shutdown()


class _World:
    """A server, and a browser with a page of the origin that it names and one of another origin."""

    def __init__(self, server: ServerProcess, named: Page, strange: Page) -> None:
        self.server, self.named, self.strange = server, named, strange

    def fetch(self, page: Page, path: str, **options: Any) -> dict[str, Any]:
        """What a script of the page gets; playwright's Error where the browser keeps the answer from it."""
        options.setdefault("headers", bearer(Role.WRITE))
        found: dict[str, Any] = page.evaluate(FETCH, [self.server.url + path, options])
        return found

    def graphql(self, page: Page, document: str, headers: dict[str, str], **variables: str) -> dict[str, Any]:
        """The answer to a document that a page sends as clients of GraphQL do."""
        given = {"Content-Type": "application/json", **bearer(Role.WRITE), **headers}
        body = json.dumps({"query": document, "variables": variables})
        return self.fetch(page, "/graphql", method="POST", headers=given, body=body)

    def titles(self) -> set[str]:
        """The titles of all products, as a program reads them that is no browser."""
        client = self.server.client()
        body = json.dumps({"query": TITLES}).encode()
        headers = {"Content-Type": "application/json", **bearer(Role.READ)}
        _status, answer = client.request("POST", "/graphql", body, headers)
        client.close()
        return {node["title"] for node in json.loads(answer)["data"]["products"]["nodes"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_World]:
    chromium = find_chromium()
    if chromium is None:
        missing("no Chromium is installed")
    folder = tmp_path_factory.mktemp("cors")
    with ExitStack() as stack:
        named, strange = (stack.enter_context(_origin(free_port())) for _ in range(2))
        server = ServerProcess(folder / "data", API_KEYS=KEYS, CORS_ORIGINS=f"{SHOP}, {named}", STAGE_SECONDS="0")
        stack.callback(server.kill)
        server.start()
        visit = stack.enter_context(visiting(chromium, folder / "browser"))
        other = visit.new_tab()
        visit.page.goto(named)
        other.goto(strange)
        yield _World(server, visit.page, other)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_over(tmp_path_factory.mktemp("site") / "data", cors_origins=SHOP) as made:
        yield made


# In a browser


def test_a_page_of_a_named_origin_queries_and_writes_with_its_key(world: _World) -> None:
    traced = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "Apollo-Require-Preflight": "true"}
    asked = world.graphql(world.named, TITLES, traced)
    assert asked["status"] == 200
    assert "nodes" in asked["text"]
    created = world.graphql(world.named, CREATE, {"Idempotency-Key": "of the page"}, t="from the shop")
    assert json.loads(created["text"])["data"]["createProductSync"]["product"]["id"]
    assert "from the shop" in world.titles()


def test_a_page_of_a_named_origin_posts_to_rest_and_reads_where_it_is(world: _World) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "page-1", **bearer(Role.WRITE)}
    entry = json.dumps({"title": "from the shop"})
    created = world.fetch(world.named, "/api/entries", method="POST", headers=headers, body=entry)
    assert created["status"] == 201, created
    found = world.fetch(world.named, created["headers"]["location"])
    assert json.loads(found["text"])["title"] == "from the shop"
    assert json.loads(world.fetch(world.named, "/openapi.json")["text"])["openapi"]


def test_a_page_of_a_named_origin_changes_a_record_over_rest_and_reads_its_headers(world: _World) -> None:
    headers = {"Content-Type": "application/json", "Prefer": "wait=30", **bearer(Role.WRITE)}
    lamps = [json.dumps({"title": f"from a page {number}", "price": 1}) for number in range(2)]
    made = [world.fetch(world.named, "/api/products", method="POST", headers=headers, body=lamp) for lamp in lamps]
    path, etag = made[1]["headers"]["location"], made[1]["headers"]["etag"]
    assert made[1]["headers"]["preference-applied"] == "wait=30"
    assert 'rel="next"' in world.fetch(world.named, "/api/products?limit=1")["headers"]["link"]
    headers["If-Match"] = etag
    changed = world.fetch(world.named, path, method="PATCH", headers=headers, body='{"price": 2}')
    assert (changed["status"], changed["headers"]["etag"]) == (200, '"2"')
    assert world.fetch(world.named, path, method="DELETE", headers=headers)["status"] == 412
    headers["If-Match"] = '"2"'
    assert world.fetch(world.named, path, method="DELETE", headers=headers)["status"] == 204


def test_a_page_of_a_named_origin_reads_an_event_stream(world: _World) -> None:
    created = world.graphql(world.named, CREATE, {}, t="watched")
    write = json.loads(created["text"])["data"]["createProductSync"]["write"]["id"]
    stream = world.graphql(world.named, SETTLED, {"Accept": "text/event-stream"}, id=write)
    assert stream["headers"]["content-type"].startswith("text/event-stream")
    assert '"status":"APPLIED"' in stream["text"]
    assert stream["text"].endswith("event: complete\ndata:\n\n")


def test_a_page_of_a_named_origin_reads_why_it_is_refused(world: _World) -> None:
    unknown = world.fetch(world.named, "/api/entries", headers={"Authorization": "Bearer aw_unknown"})
    assert (unknown["status"], unknown["headers"]["www-authenticate"]) == (401, "Bearer")
    assert world.fetch(world.named, "/api/nothing")["status"] == 404
    wrong = world.fetch(world.named, "/api/entries/1", method="PATCH", body="{}")
    assert wrong["status"] == 403


def test_the_browser_keeps_everything_from_a_page_of_another_origin(world: _World) -> None:
    before = world.titles()
    with pytest.raises(Error, match="Failed to fetch"):
        world.graphql(world.strange, CREATE, {}, t="from a stranger")
    assert world.titles() == before  # the preflight was not allowed, so nothing was sent
    for path in ("/graphql?query={__typename}", "/api/entries", "/openapi.json"):
        with pytest.raises(Error, match="Failed to fetch"):
            world.fetch(world.strange, path)


def test_a_page_of_a_named_origin_gets_neither_the_console_nor_its_session(world: _World) -> None:
    for path in ("/sign-in", "/products", "/health"):
        with pytest.raises(Error, match="Failed to fetch"):
            world.fetch(world.named, path, headers={})
    console = world.named.context.new_page()
    console.goto(f"{world.server.url}/sign-in")
    console.get_by_label("Key").fill(SECRETS[Role.WRITE])
    console.keyboard.press("Enter")
    console.wait_for_url(f"{world.server.url}/")
    with pytest.raises(Error, match="Failed to fetch"):  # the ports share a site, so the cookie is sent
        world.fetch(world.named, "/api/entries", headers={}, credentials="include")
    assert world.fetch(console, "/api/entries", headers={})["status"] == 200
    console.close()


# Every answer


def _preflight(site: Site, path: str, origin: str = SHOP, **headers: str) -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", **headers}
    return site.send("OPTIONS", path, headers=asked)


@pytest.mark.parametrize("path", ["/graphql", "/api/entries", "/api/entries/1", "/api/nothing", "/openapi.json"])
def test_a_preflight_needs_no_key_and_counts_against_no_limit(tmp_path: Path, path: str) -> None:
    with site_over(tmp_path / "data", cors_origins=SHOP, rate_limit="1/hour") as site:
        for _ in range(3):
            wanted = "authorization,content-type,idempotency-key,traceparent,x-csrf-token,cookie"
            answer = _preflight(site, path, **{"Access-Control-Request-Headers": wanted})
            assert (answer.status_code, answer.data) == (204, b"")
            assert answer.headers["Access-Control-Allow-Origin"] == SHOP
            assert {"GET", "POST", "PATCH"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
            allowed = answer.headers["Access-Control-Allow-Headers"]
            assert allowed == "authorization, content-type, idempotency-key, traceparent"
        assert site.send("GET", "/api/entries", Role.READ).status_code == 200


def test_refusals_of_every_kind_can_be_read(tmp_path: Path) -> None:
    limits = {"rate_limit": "4/hour", "max_body_bytes": 100}
    with site_over(tmp_path / "data", cors_origins=SHOP, **limits) as site:
        origin = {"Origin": SHOP}
        long = {"json": {"query": "{ __typename }" + " " * 100}}
        answers = [
            site.send("GET", "/api/entries", headers=origin),
            site.send("POST", "/graphql", Role.READ, headers=origin, **long),
            site.send("GET", "/api/nothing", Role.READ, headers=origin),
            site.send("PUT", "/api/entries", Role.READ, headers=origin),
            site.send("GET", "/api/entries", Role.READ, headers=origin),
            site.send("GET", "/api/entries", Role.READ, headers=origin),
        ]
        assert [answer.status_code for answer in answers] == [401, 413, 404, 405, 200, 429]
        for answer in answers:
            assert answer.headers["Access-Control-Allow-Origin"] == SHOP
            exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
            assert {"Location", "ETag", "Retry-After"} <= set(exposed)
            assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", [None, "null", "https://evil.example", f"{SHOP}.evil.example", "http://shop.example"]
)
def test_an_origin_that_is_not_named_gets_no_permission_and_caches_know(site: Site, origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    for path in ("/graphql?query={__typename}", "/api/entries", "/api/nothing"):
        answer = site.send("GET", path, Role.READ, headers=headers)
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
        assert "Origin" in answer.vary
    if origin:
        assert "Access-Control-Allow-Origin" not in _preflight(site, "/graphql", origin).headers


@pytest.mark.parametrize(
    "path", ["/", "/products", "/sign-in", "/health", "/ready", "/metrics", "/webhook", "/static/x"]
)
def test_what_is_no_api_is_closed_to_other_origins(site: Site, path: str) -> None:
    for role in (Role.NOBODY, Role.ADMIN):
        answer = site.send("GET", path, role, headers={"Origin": SHOP})
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Access-Control-Allow-Origin" not in _preflight(site, path).headers


def test_any_origin_is_answered_without_its_name_and_without_cookies(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", cors_origins="*") as site:
        answer = site.send("GET", "/api/entries", Role.READ, headers={"Origin": SHOP})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" not in answer.vary


def test_without_the_setting_nothing_is_allowed(tmp_path: Path) -> None:
    with site_over(tmp_path / "data") as site:
        answer = site.send("GET", "/api/entries", Role.READ, headers={"Origin": SHOP})
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert _preflight(site, "/graphql").status_code == 401


def test_an_open_server_answers_no_preflight_under_another_name(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", api_keys="", cors_origins=SHOP) as site:
        assert _preflight(site, "/graphql").status_code == 204
        assert _preflight(site, "/graphql", Host="evil.example:5000").status_code == 421


# The setting


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://localhost:3000/", "'http://localhost:3000/', which is not an origin"),
        ("https://shop.example/app", "which is not an origin"),
        ("shop.example", "which is not an origin"),
        ("localhost:3000", "which is not an origin"),
        ("null", "which is not an origin"),
        ("https://*.shop.example", "which is not an origin"),
        ("https://ann@shop.example", "which is not an origin"),
        ("https://shop.example:99999", "which is not an origin"),
        (f"{SHOP},*", "'*', which is not an origin"),
        ("https://shop.example:443", "remove :443"),
    ],
)
def test_what_is_no_origin_stops_the_start(text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check_access(Settings(cors_origins=text, api_keys=KEYS))
    assert str(refused.value).startswith("CORS_ORIGINS names ")
    assert told in str(refused.value)


def test_origins_are_read_as_browsers_send_them() -> None:
    text = "HTTPS://Shop.Example, http://[::1]:3000 ,capacitor://localhost,"
    found = origins_of(Settings(cors_origins=text), Role.READ)
    assert found == (SHOP, "http://[::1]:3000", "capacitor://localhost")
    assert origins_of(Settings(), Role.READ) == ()


def test_an_origin_of_an_ipv6_address_is_matched_whole(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", cors_origins="http://[::1]:3000") as site:
        for origin, allowed in (("http://[::1]:3000", True), ("http://::3000", False), ("http://1:3000", False)):
            answer = site.send("GET", "/api/entries", Role.READ, headers={"Origin": origin})
            assert ("Access-Control-Allow-Origin" in answer.headers) is allowed


@pytest.mark.parametrize("keys", ["", KEYS], ids=["no keys", "keys"])
def test_callers_without_a_key_who_may_write_are_not_every_page(tmp_path: Path, keys: str) -> None:
    told = r"CORS_ORIGINS=\* and ALLOW_ANONYMOUS=write would let every web page .*set ALLOW_ANONYMOUS=read"
    with pytest.raises(SettingsError, match=told):
        check_access(Settings(cors_origins="*", allow_anonymous="write", api_keys=keys))
    with (
        pytest.raises(SettingsError, match=told),
        site_over(tmp_path / "data", cors_origins="*", allow_anonymous="write", api_keys=keys),
    ):
        pass


def test_an_open_server_is_not_opened_to_every_page() -> None:
    with pytest.raises(SettingsError, match=r"CORS_ORIGINS=\* and no keys would let every web page"):
        check_access(Settings(cors_origins="*"))
    check_access(Settings(cors_origins="*", api_keys=KEYS))
    check_access(Settings(cors_origins="*", allow_anonymous="read"))
    check_access(Settings(cors_origins=SHOP, allow_anonymous="write"))
    check_access(Settings(cors_origins=SHOP))
