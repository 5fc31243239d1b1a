"""Sessions: a signed cookie that names a key and ends with it, and the token that requests with it must carry."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from access_site import KEYS, SECRETS, Site, bearer, code_of, site_over
from flask.testing import FlaskClient
from server_process import ServerProcess
from werkzeug.test import TestResponse

from afterwrite.access.key_file import add_key, remove_key
from afterwrite.access.keys import Key, hash_of
from afterwrite.access.local_paths import local_path
from afterwrite.access.roles import Role
from afterwrite.access.session import EndedSessions, Held, Sessions

pytestmark = pytest.mark.one_database("keys are files; tests of many processes look at sessions that all of them share")

TOKEN = re.compile(r'<meta name="csrf-token" content="([^"]+)">')
MUTATION = {"query": 'mutation { createEntry(title: "x") { id } }'}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One application for all tests of this file that leave its keys alone."""
    with site_over(tmp_path_factory.mktemp("sessions") / "data") as made:
        yield made


def token_of(browser: FlaskClient, path: str = "/sign-in") -> str:
    found = TOKEN.search(browser.get(path, headers={"Accept": "text/html"}).get_data(as_text=True))
    assert found is not None
    return found[1]


def sign_in(browser: FlaskClient, secret: str, **options: Any) -> TestResponse:
    """Sign in as the page does; the answer to it."""
    token = token_of(browser)
    return browser.post("/sign-in", data={"csrf_token": token, "key": secret}, **options)


def signed_in(site: Site, role: Role = Role.WRITE) -> FlaskClient:
    browser = site.client()
    assert sign_in(browser, SECRETS[role]).status_code == 303
    return browser


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(site: Site) -> None:
    answer = sign_in(site.client(), SECRETS[Role.READ])
    [cookie] = answer.headers.getlist("Set-Cookie")
    parts = {part.strip() for part in cookie.split(";")}
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= parts
    assert "Secure" not in parts
    assert not any(part.startswith("Domain") for part in parts)
    assert cookie.startswith("afterwrite=")
    assert SECRETS[Role.READ] not in cookie


def test_over_https_the_cookie_is_for_https_only(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", proxies=1) as site:
        behind_proxy = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.test:8443"}
        browser = site.client()
        page = browser.get("/sign-in", headers=behind_proxy)
        assert "; Secure;" in page.headers["Set-Cookie"]
        assert page.headers["Set-Cookie"].startswith("afterwrite_8443=")


def test_a_proxy_of_its_own_stands_behind_those_of_others(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", proxies=1, own_proxies=1) as site:
        said = {"X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "shop.test:8443, nginx:5000"}
        assert "; Secure;" in site.client().get("/sign-in", headers=said).headers["Set-Cookie"]
        alone = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.test:8443"}
        assert "Secure" not in site.client().get("/sign-in", headers=alone).headers["Set-Cookie"]


def test_what_no_proxy_wrote_is_not_believed(site: Site) -> None:
    page = site.client().get("/sign-in", headers={"X-Forwarded-Proto": "https", "X-Forwarded-Host": "x:1"})
    assert page.headers["Set-Cookie"].startswith("afterwrite=")
    assert "Secure" not in page.headers["Set-Cookie"]


@pytest.mark.parametrize("http_server", ["granian", "gunicorn"])
def test_no_http_server_believes_on_its_own(make_server: Callable[..., ServerProcess], http_server: str) -> None:
    server = make_server(SERVER=http_server).start()
    client = server.client()
    client.connection.request("GET", "/sign-in", headers={"X-Forwarded-Proto": "https", "X-Forwarded-Host": "x"})
    answer = client.connection.getresponse()
    assert (answer.status, "Secure" in answer.headers["Set-Cookie"]) == (200, False)
    client.close()


def test_two_servers_on_one_host_have_a_cookie_each(site: Site) -> None:
    page = site.client().get("/sign-in", headers={"Host": "localhost:5001"})
    assert page.headers["Set-Cookie"].startswith("afterwrite_5001=")


def test_who_is_signed_in_may_what_the_key_may(site: Site) -> None:
    for role in (Role.READ, Role.WRITE, Role.ADMIN):
        browser = signed_in(site, role)
        assert browser.get("/api/entries").status_code == 200
        token = {"X-CSRF-Token": token_of(browser, "/products")}
        created = browser.post("/api/entries", json={"title": "x"}, headers=token)
        assert created.status_code == (201 if role >= Role.WRITE else 403)
        assert browser.get("/metrics").status_code == (200 if role is Role.ADMIN else 403)


def test_a_wrong_key_signs_nobody_in(site: Site) -> None:
    browser = site.client()
    assert sign_in(browser, "aw_wrong").status_code == 401
    assert browser.get("/api/entries").status_code == 401


def test_a_cookie_that_was_changed_counts_for_nothing(site: Site) -> None:
    browser = signed_in(site)
    cookie = browser.get_cookie("afterwrite")
    assert cookie is not None
    payload, made_at, signature = cookie.value.rsplit(".", 2)
    other = signed_in(site, Role.ADMIN).get_cookie("afterwrite")
    assert other is not None
    forgeries = (
        f"{other.value.rsplit('.', 2)[0]}.{made_at}.{signature}",
        f"{payload}.{made_at}.{signature[:-2]}AA",
        payload,
        "",
        "x" * 3_000,
    )
    for forged in forgeries:
        browser.set_cookie("afterwrite", forged)
        assert browser.get("/api/entries").status_code == 401
    browser.set_cookie("afterwrite", cookie.value)
    assert browser.get("/api/entries").status_code == 200


def test_another_server_takes_no_cookie_of_this_one(site: Site, tmp_path: Path) -> None:
    cookie = signed_in(site).get_cookie("afterwrite")
    assert cookie is not None
    with site_over(tmp_path / "other") as other:
        browser = other.client()
        browser.set_cookie("afterwrite", cookie.value)
        assert browser.get("/api/entries").status_code == 401


def test_a_restart_ends_no_session(tmp_path: Path) -> None:
    with site_over(tmp_path / "data") as before:
        cookie = signed_in(before).get_cookie("afterwrite")
    assert cookie is not None
    with site_over(tmp_path / "data") as again:
        browser = again.client()
        browser.set_cookie("afterwrite", cookie.value)
        assert browser.get("/api/entries").status_code == 200
    secret = tmp_path / "data" / "session-secret"
    assert secret.stat().st_mode & 0o077 == 0


def test_a_session_ends_with_its_key_and_does_not_come_back_with_the_name(tmp_path: Path) -> None:
    path = tmp_path / "data" / "api-keys"
    add_key(path, Key("ann", Role.READ, hash_of("aw_first")))
    with site_over(tmp_path / "data", api_keys=KEYS) as site:
        browser = site.client()
        sign_in(browser, "aw_first")
        assert browser.get("/api/entries").status_code == 200
        remove_key(path, "ann")
        site.clock.now += 1
        assert browser.get("/api/entries").status_code == 401
        add_key(path, Key("ann", Role.ADMIN, hash_of("aw_second")))
        site.clock.now += 1
        assert browser.get("/api/entries").status_code == 401
        sign_in(browser, "aw_second")
        assert browser.get("/metrics").status_code == 200


def test_a_session_ends_after_its_hours(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = signed_in(site)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 12 * 3600 - 60)
    assert browser.get("/api/entries").status_code == 200
    monkeypatch.setattr(time, "time", lambda: now + 12 * 3600 + 60)
    assert browser.get("/api/entries").status_code == 401


def test_a_clock_that_is_set_back_a_little_ends_no_session(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = signed_in(site)
    token = {"X-CSRF-Token": token_of(browser, "/products")}
    now = time.time()
    for seconds in (1, 10, 290):
        monkeypatch.setattr(time, "time", lambda back=seconds: now - back)
        assert browser.post("/api/entries", json={"title": "x"}, headers=token).status_code == 201
    monkeypatch.setattr(time, "time", lambda: now - 310)
    assert browser.get("/api/entries").status_code == 401


def test_a_session_that_was_signed_out_stays_so_when_the_clock_jumps_ahead_and_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended, now = EndedSessions(hours=1), time.time()
    ended.add("first")
    monkeypatch.setattr(time, "time", lambda: now + 10**8)
    ended.add("second")
    monkeypatch.setattr(time, "time", lambda: now)
    assert not ended.lasts(Held("ann", "mark", "first", int(now)))


def test_signing_out_ends_the_session(site: Site) -> None:
    browser = signed_in(site)
    token = token_of(browser, "/products")
    kept = browser.get_cookie("afterwrite")
    assert kept is not None
    other = signed_in(site)
    assert browser.post("/sign-out", data={"csrf_token": token}).status_code == 303
    assert browser.get("/api/entries").status_code == 401
    browser.set_cookie("afterwrite", kept.value)  # as somebody would who copied it before
    assert browser.get("/api/entries").status_code == 401
    assert other.get("/api/entries").status_code == 200  # another session of the same key


def test_signing_in_again_ends_the_session_before(site: Site) -> None:
    browser = signed_in(site)
    kept = browser.get_cookie("afterwrite")
    assert kept is not None
    token = token_of(browser, "/products")
    form = {"csrf_token": token, "key": SECRETS[Role.READ]}
    assert browser.post("/sign-in", data=form).status_code == 303
    assert browser.get("/api/entries").status_code == 200
    browser.set_cookie("afterwrite", kept.value)
    assert browser.get("/api/entries").status_code == 401


def test_ended_sessions_are_forgotten_when_their_hours_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, now = EndedSessions(hours=1), 1_000_000
    monkeypatch.setattr(time, "time", lambda: now)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    ended.add("first")
    assert not ended.lasts(Held("ann", "mark", "first", now))
    now += 3901  # an hour, and the five minutes that a clock may be wrong
    ended.add("second")
    assert ended.remembered == 1
    assert not ended.lasts(Held("ann", "mark", "second", now))
    assert ended.lasts(Held("ann", "mark", "third", now))


def test_signing_in_begins_anew_with_another_token(site: Site) -> None:
    browser = site.client()
    before = token_of(browser)
    sign_in(browser, SECRETS[Role.READ])
    assert token_of(browser, "/products") != before


@pytest.mark.parametrize("path", ["/api/entries", "/graphql"])
def test_an_unsafe_request_with_the_cookie_needs_the_token(site: Site, path: str) -> None:
    body = {"title": "x"} if path == "/api/entries" else MUTATION
    browser = signed_in(site)
    stranger = signed_in(site)
    token = token_of(browser, "/products")
    before = browser.get("/api/entries").get_json()["total"]
    for wrong in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": token_of(stranger, "/products")}):
        answer = browser.post(path, json=body, headers=wrong)
        assert (answer.status_code, code_of(answer)) == (403, "CSRF_TOKEN_WRONG")
    assert browser.get("/api/entries").get_json()["total"] == before
    assert browser.post(path, json=body, headers={"X-CSRF-Token": token}).status_code in (200, 201)
    # Whoever shows a key in a header was not made to by another site: the cookie beside it does not matter.
    assert browser.post(path, json=body, headers=bearer(Role.WRITE)).status_code in (200, 201)
    assert browser.get("/api/entries").get_json()["total"] == before + 2


def test_forms_of_the_console_need_the_token_from_everybody_but_not_with_a_key(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", api_keys="") as site:  # open: without any key
        browser = site.client()
        form = {"title": "Desk", "price": "10"}
        assert browser.post("/products", data=form).status_code == 403
        assert browser.post("/products", data={**form, "csrf_token": "x"}).status_code == 403
        assert browser.post("/sign-in", data={"key": "aw_x"}).status_code == 403
        token = token_of(browser, "/products")
        assert browser.post("/products", data={**form, "csrf_token": token}).status_code < 400
        assert browser.post("/products", data=form, headers={"X-CSRF-Token": token}).status_code < 400
        # Nothing but JSON is read there, and no other site can send that.
        assert browser.post("/api/entries", json={"title": "x"}).status_code == 201
    with site_over(tmp_path / "other") as site:
        assert site.send("POST", "/products", Role.WRITE, data={"title": "Desk", "price": "10"}).status_code < 400


def test_graphiql_gets_the_token_of_who_is_signed_in(site: Site) -> None:
    browser = signed_in(site)
    page = browser.get("/graphql", headers={"Accept": "text/html"}).get_data(as_text=True)
    found = re.search(r'data-csrf-token="([^"]+)"', page)
    assert found is not None
    answer = browser.post("/graphql", json=MUTATION, headers={"X-CSRF-Token": found[1]})
    assert "errors" not in answer.get_json()
    for_a_program = site.send("GET", "/graphql", Role.READ, headers={"Accept": "text/html"})
    assert 'data-csrf-token=""' in for_a_program.get_data(as_text=True)


def test_requests_without_a_cookie_get_none(site: Site) -> None:
    for path in ("/api/entries", "/health", "/ready", "/graphql?query={__typename}"):
        answer = site.send("GET", path, Role.ADMIN)
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
        assert "Cookie" not in answer.headers.get("Vary", "")


def test_cookies_are_signed_with_sha_256() -> None:
    assert Sessions.digest_method().name == "sha256"


# Where a browser is sent


@pytest.mark.parametrize("path", ["/", "/products?search=a%20b&page=2", "/graphql"])
def test_a_browser_of_nobody_is_sent_to_sign_in_and_back(site: Site, path: str) -> None:
    browser = site.client()
    answer = browser.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 302
    location = answer.headers["Location"]
    assert location.startswith("/sign-in?next=/")
    page = browser.get(location).get_data(as_text=True)
    token = TOKEN.search(page)
    going_to = re.search(r'name="next" value="([^"]*)"', page)
    assert token and going_to
    form = {"csrf_token": token[1], "key": SECRETS[Role.READ], "next": going_to[1].replace("&amp;", "&")}
    assert browser.post("/sign-in", data=form).headers["Location"] == path


def test_htmx_is_told_to_open_the_sign_in_page(site: Site) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost/tasks?status=FAILED"}
    answer = site.send("GET", "/tasks", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/sign-in?next=/tasks%3Fstatus%3DFAILED"


def test_who_may_too_little_is_told_so_on_a_page_of_the_console(site: Site) -> None:
    browser = signed_in(site, Role.READ)
    answer = browser.get("/products/new", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (403, "text/html")
    page = answer.get_data(as_text=True)
    assert "needs the role write, and the key read has read" in page
    assert '<a class="brand"' in page
    answer = browser.get("/products/new", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Reswap"]) == (403, "none")
    assert "needs the role write" in answer.headers["HX-Trigger"]


def test_who_asks_too_often_is_told_so_on_a_page_of_the_console(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", rate_limit="1/hour") as site:
        browser = site.client()
        assert browser.get("/sign-in").status_code == 200
        answer = browser.get("/sign-in")
        assert (answer.status_code, answer.mimetype) == (429, "text/html")
        assert int(answer.headers["Retry-After"]) >= 1
        assert "try again in" in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/tasks?a=b&c=d#e", "/tasks?a=b&c=d"),
        ("http://localhost:5000/tasks?a=b", "/tasks?a=b"),
        ("http://evil.test//evil.test/", "/"),
        ("//evil.test/x", "/x"),
        ("/\\evil.test", "/"),
        ("///evil.test", "/evil.test"),
        ("/\tx", "/x"),
        ("javascript:alert(1)", "/"),
        ("http://[", "/"),
        ("tasks", "/"),
        ("", "/"),
        (None, "/"),
    ],
)
def test_nobody_is_sent_away_from_here(url: str | None, path: str) -> None:
    assert local_path(url) == path
