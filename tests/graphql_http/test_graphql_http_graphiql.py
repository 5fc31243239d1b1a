"""GraphiQL in a real browser: it works, says nothing wrong, and asks no other host for anything."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from graphql_http_client import Client, answered
from graphql_http_site import ROOT, make_app, serving
from npm_packages import missing

from devkit.browser import find_chromium, visiting

BROWSER_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
HELLO = 'query Hello { hello(name: "</div>\\"&\'") }'
COUNT = "subscription Count { count(to: 3) }"
# GraphiQL takes no notice of a click before all its editors are there: click again while nothing runs.
RUN = "document.querySelector('.graphiql-execute-button[aria-label^=Execute]')?.click()"
EDITOR = "document.querySelector('.graphiql-query-editor .CodeMirror')"
RESULT = "document.querySelector('.result-window .CodeMirror')"


@pytest.fixture
def chromium() -> str:
    path = find_chromium()
    if path is None:
        missing("no Chromium is installed")
    return path


def test_graphiql_runs_a_query_and_a_subscription_and_stays_at_home(chromium: str, tmp_path: Path) -> None:
    app = make_app(graphiql=True, examples=[HELLO, "{ item { id } }"])
    with serving(app) as url, visiting(chromium, tmp_path) as visit:
        page = visit.page
        page.goto(f"{url}/graphql")
        page.wait_for_function(f"{RESULT} && {EDITOR}?.textContent.includes('Hello')")
        assert page.locator(".graphiql-tab").count() == 2
        page.wait_for_function(f"{RESULT}.textContent.includes('Hello </div>') || ({RUN}, false)")

        page.goto(f"{url}/graphql?query={quote(COUNT)}")
        page.wait_for_function(f"{RESULT} && {EDITOR}?.textContent.includes('Count')")
        page.wait_for_function(f"{RESULT}.textContent.includes('\"count\": 3') || ({RUN}, false)")

    assert visit.complaints == []
    assert visit.hosts == {urlsplit(url).netloc}


def test_only_a_browser_gets_the_page_and_only_if_it_is_on() -> None:
    on, off = Client(graphiql=True), Client()
    response = on.http.get("/graphql", headers={"Accept": BROWSER_ACCEPT})
    assert response.status_code == 200
    assert response.content_type == "text/html; charset=utf-8"
    answered(off.http.get("/graphql", headers={"Accept": BROWSER_ACCEPT}), 400)
    answered(on.http.get("/graphql"), 400)
    answered(on.http.post("/graphql", json={"query": "{ hello }"}, headers={"Accept": BROWSER_ACCEPT}), 200)


def test_the_page_has_no_script_or_style_of_its_own_and_its_assets_are_there() -> None:
    client = Client(graphiql=True, examples=['"><script>alert(1)</script>'])
    text = client.http.get("/graphql", headers={"Accept": "text/html"}).get_data(as_text=True)
    assert not re.search(r"<style|\son\w+=|\sstyle=|<script(?! src=\"/static/)[^>]*>", text)
    assets = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(assets) == 7
    for asset in assets:
        assert re.fullmatch(r"/static/graphiql/[\w.-]+\?v=[\d.]+", asset)
        with client.http.get(asset) as response:
            assert response.status_code == 200
            assert len(response.get_data()) > 100


def test_the_endpoint_follows_the_place_where_the_application_is_mounted() -> None:
    client = Client(graphiql=True)
    environ = {"SCRIPT_NAME": "/shop"}
    response = client.http.get("/graphql", headers={"Accept": "text/html"}, environ_overrides=environ)
    assert 'data-endpoint="/shop/graphql"' in response.get_data(as_text=True)


def test_every_vendored_file_has_its_licence_and_its_version() -> None:
    folder = ROOT / "afterwrite" / "static" / "graphiql"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for path in folder.glob("*.*"):
        assert path.name == "README.md" or f"`{path.name}`" in readme
    pages = (ROOT / "afterwrite" / "graphql_http" / "graphiql.py").read_text(encoding="utf-8")
    for name, version in re.findall(r"\| (react|react-dom|graphiql) ([\d.]+) \|", readme):
        assert f"{name}." in pages
        assert f'"{version}"' in pages
        assert (folder / f"LICENSE-{name}").exists()
