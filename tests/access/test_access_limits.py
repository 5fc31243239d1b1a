"""How often, and what every answer carries: the rate limit, the headers, the form in which a refusal leaves."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from access_site import Site, code_of, site_over
from flask import Flask, Response
from werkzeug.test import Client

from afterwrite.access.headers import allow_more, page_policy, with_headers
from afterwrite.access.rate import RateLimit
from afterwrite.access.roles import Role
from afterwrite.base.settings import SettingsError

ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_over(tmp_path_factory.mktemp("limits") / "data") as made:
        yield made


# The rate limit


def test_past_the_limit_the_answer_says_when_to_come_again(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", rate_limit="3/hour") as site:
        for _ in range(3):
            assert site.send("GET", "/api/entries", Role.READ).status_code == 200
        answer = site.send("GET", "/api/entries", Role.READ)
        assert (answer.status_code, code_of(answer)) == (429, "RATE_LIMITED")
        assert answer.mimetype == "application/problem+json"
        assert 1 <= int(answer.headers["Retry-After"]) <= 3600
        answer = site.graphql("{ __typename }", Role.READ)
        assert (answer.status_code, code_of(answer)) == (429, "RATE_LIMITED")
        assert 1 <= int(answer.headers["Retry-After"]) <= 3600
        assert "from the key read" in answer.get_data(as_text=True)


def test_each_key_and_each_address_has_a_count_of_its_own(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", rate_limit="2/hour", allow_anonymous="read") as site:
        for role in (Role.READ, Role.WRITE):
            assert [site.send("GET", "/api/entries", role).status_code for _ in range(3)] == [200, 200, 429]
        for address in ("10.0.0.1", "10.0.0.2"):
            origin = {"REMOTE_ADDR": address}
            answers = [site.send("GET", "/api/entries", environ_overrides=origin) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_behind_a_proxy_the_address_is_that_of_the_client(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", rate_limit="1/hour", allow_anonymous="read", proxies=1) as site:
        for client in ("10.0.0.1", "10.0.0.2"):
            # What the client itself claims stands left of what the proxy adds.
            headers = {"X-Forwarded-For": f"9.9.9.9, {client}"}
            answers = [site.send("GET", "/api/entries", headers=headers) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 429]


def test_who_looks_after_the_server_may_ask_as_often_as_he_likes(tmp_path: Path) -> None:
    with site_over(tmp_path / "data", rate_limit="1/hour") as site:
        for path in ("/health", "/ready", "/static/graphiql/graphiql.svg"):
            for _ in range(3):
                with site.send("GET", path) as answer:
                    assert answer.status_code == 200


def test_the_limit_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    limit = RateLimit("5/second")
    assert limit.seconds_to_wait("somebody") == 0
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


@pytest.mark.parametrize("text", ["600/minute", "10 per second", "1/day"])
def test_limits_are_understood(text: str) -> None:
    assert RateLimit(text).seconds_to_wait("somebody") == 0


@pytest.mark.parametrize("text", ["many", "600", "-1/minute", "0/minute", "5/fortnight"])
def test_other_limits_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="RATE_LIMIT="):
        RateLimit(text)


# The headers


def test_every_kind_of_answer_carries_the_headers(site: Site) -> None:
    asked = {
        ("GET", "/graphql", "text/html", Role.ADMIN): 200,
        ("GET", "/products", "text/html", Role.ADMIN): 200,
        ("GET", "/products", "text/html", Role.NOBODY): 302,
        ("GET", "/products/new", "text/html", Role.READ): 403,
        ("GET", "/sign-in", "text/html", Role.NOBODY): 200,
        ("GET", "/api/entries", "application/json", Role.ADMIN): 200,
        ("GET", "/api/entries", "application/json", Role.NOBODY): 401,
        ("GET", "/api/nothing", "application/json", Role.ADMIN): 404,
        ("PUT", "/api/entries", "application/json", Role.ADMIN): 405,
        ("GET", "/nothing", "application/json", Role.ADMIN): 404,
        ("GET", "/graphql", "application/json", Role.ADMIN): 400,
        ("OPTIONS", "/graphql", "*/*", Role.ADMIN): 204,
        ("GET", "/static/graphiql/graphiql.svg", "*/*", Role.NOBODY): 200,
        ("GET", "/metrics", "*/*", Role.ADMIN): 200,
        ("GET", "/ready", "*/*", Role.NOBODY): 200,
    }
    for (method, path, accept, role), status in asked.items():
        answer = site.send(method, path, role, headers={"Accept": accept})
        assert answer.status_code == status, (method, path, role)
        for name, value in ALWAYS.items():
            assert answer.headers.getlist(name) == [value], (method, path)
        [policy] = answer.headers.getlist("Content-Security-Policy")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        if answer.mimetype == "text/html" and status == 200:
            assert "; script-src 'self'; " in policy
            assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]
        answer.close()


def test_an_error_of_the_server_carries_the_headers_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.service.metrics, "exposition", lambda: 1 / 0)
    answer = site.send("GET", "/metrics", Role.ADMIN)
    assert answer.status_code == 500
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_the_whole_policy_of_a_page() -> None:
    assert page_policy() == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )


def test_a_page_may_use_more_pictures_but_never_more_scripts() -> None:
    app = Flask("page")

    @app.get("/<directive>")
    def page(directive: str) -> Response:
        allow_more(directive, "https:")
        return Response("<p>x", content_type="text/html")

    client = Client(with_headers(app))
    policy = client.get("/img-src").headers["Content-Security-Policy"]
    assert "img-src 'self' data: https:; " in policy
    assert policy.count("https:") == 1
    assert "https:" not in page_policy()
    for fixed in ("script-src", "default-src", "frame-ancestors", "base-uri", "script-src-elem"):
        assert client.get(f"/{fixed}").status_code == 500


# The form of a refusal


@pytest.mark.parametrize(
    "accept", ["application/json", "application/graphql-response+json", "text/event-stream", "*/*"]
)
def test_graphql_is_refused_with_a_graphql_error(site: Site, accept: str) -> None:
    for role, document, status, code in (
        (Role.NOBODY, "{ __typename }", 401, "UNAUTHENTICATED"),
        (Role.READ, 'mutation { createEntry(title: "x") { id } }', 403, "FORBIDDEN"),
        (Role.READ, "{ queue { depth } }", 403, "FORBIDDEN"),
        (Role.NOBODY, 'subscription { taskUpdated(id: "1") { id } }', 401, "UNAUTHENTICATED"),
    ):
        answer = site.graphql(document, role, headers={"Accept": accept})
        body = json.loads(answer.get_data())
        assert (answer.status_code, list(body)) == (status, ["errors"])
        assert body["errors"][0]["extensions"]["code"] == code
        assert ("WWW-Authenticate" in answer.headers) is (status == 401)


def test_rest_is_refused_with_a_problem(site: Site) -> None:
    nobody = site.send("POST", "/api/entries", json={"title": "x"})
    assert nobody.mimetype == "application/problem+json"
    assert nobody.headers["WWW-Authenticate"] == "Bearer"
    assert nobody.get_json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "code": "UNAUTHENTICATED",
        "detail": "POST /api/entries needs the role write, and this request has no key: "
        "send `Authorization: Bearer KEY`, or sign in",
    }
    reader = site.send("POST", "/api/entries", Role.READ, json={"title": "x"})
    assert (reader.status_code, reader.get_json()["code"]) == (403, "FORBIDDEN")
    assert "the key read has read" in reader.get_json()["detail"]


def test_an_unknown_key_is_refused_also_where_none_is_needed(site: Site) -> None:
    wrong = {"Authorization": "Bearer aw_wrong"}
    for path, status in (("/health", 401), ("/sign-in", 401), ("/ready", 200)):
        assert site.send("GET", path, headers=wrong).status_code == status
    # A sender of webhooks may have a key for somebody else in that header; the signature decides.
    assert site.send("POST", "/webhook", json={}, headers=wrong).headers["WWW-Authenticate"] != "Bearer"
