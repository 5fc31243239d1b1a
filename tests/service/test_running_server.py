"""The running server as protocol auditors and browsers see it."""

import contextlib
import os
import sysconfig
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from graphql_http_audits import failed_audits
from npm_packages import missing
from server_process import ServerProcess, wait_until

from devkit.browser import find_chromium, visiting

pytestmark = pytest.mark.one_database("what a command says beside the files of a running server")

RESULT = "document.querySelector('.result-window .CodeMirror')"
# GraphiQL takes no notice of a click before all its editors are there: click again while nothing runs.
RUN = "document.querySelector('.graphiql-execute-button[aria-label^=Execute]')?.click()"
# As people call them: without the current folder on Python's path, as `python -m` has it.
GUNICORN, GRANIAN = (str(Path(sysconfig.get_path("scripts"), name)) for name in ("gunicorn", "granian"))


@pytest.mark.skipif(os.name == "nt", reason="gunicorn does not run on Windows")
@pytest.mark.parametrize(
    ("program", "server_name"),
    [
        (("app.py",), "granian"),
        (("app.py",), "gunicorn"),
        (("-m", "afterwrite", "serve"), "granian"),
        (("-m", "afterwrite", "serve"), "gunicorn"),
        ((GUNICORN, "app:wsgi()"), ""),  # finds gunicorn.conf.py
        ((GUNICORN, "--config", "python:afterwrite.server.gunicorn_settings", "app:wsgi()"), ""),
        ((GRANIAN, "--interface", "wsgi", "--factory", "app:wsgi"), ""),
    ],
)
def test_every_way_of_starting_serves_one_process_and_stops(
    make_server: Callable[..., ServerProcess], program: tuple[str, ...], server_name: str
) -> None:
    server = make_server(SERVER=server_name)
    server.program = program
    server.environment["GRANIAN_PORT"] = str(server.port)
    server.start()
    assert server.query('mutation { createProductSync(title: "Lamp", price: 1) { success } }') == {
        "createProductSync": {"success": True}
    }
    assert server.log.count("serving on") == 1
    assert server.stop() == 0


def test_every_audit_of_graphql_over_http_passes(server: ServerProcess) -> None:
    assert failed_audits(f"{server.url}/graphql") == []


def test_graphiql_runs_an_example_and_asks_no_other_host(server: ServerProcess, tmp_path: Path) -> None:
    chromium = find_chromium() or missing("no Chromium is installed")
    server.query('mutation { createProductSync(title: "Laptop", price: 1) { success } }')
    with visiting(chromium, tmp_path / "profile") as visit:
        visit.page.goto(f"{server.url}/graphql")
        shown = f"{RESULT}?.textContent.includes('Laptop')"
        wait_until(lambda: visit.page.evaluate(f"{shown} || ({RUN}, false)"))
        assert visit.page.locator(".graphiql-tab").count() == 6
    assert visit.complaints == []
    assert visit.hosts == {urlsplit(server.url).netloc}


@pytest.mark.parametrize("server_name", ["granian", "gunicorn"])
def test_open_streams_leave_threads_for_queries(make_server: Callable[..., ServerProcess], server_name: str) -> None:
    if server_name == "gunicorn" and os.name == "nt":
        pytest.skip("gunicorn does not run on Windows")
    server = make_server(SERVER=server_name, MAX_STREAMS="2", STOP_SECONDS="1").start()
    with contextlib.ExitStack() as open_streams, server.database.no_drain():
        write = server.query('mutation { createProduct(title: "Late", price: 1) { write { id } } }')
        number = write["createProduct"]["write"]["id"]
        path = f"/graphql?query=subscription%7BwriteSettled(id:{number})%7Bstatus%7D%7D"
        for _ in range(2):
            client = open_streams.enter_context(contextlib.closing(server.client()))
            client.connection.request("GET", path, headers={"Accept": "text/event-stream"})
            assert client.connection.getresponse().status == 200
        with contextlib.closing(server.client()) as client:
            status, body = client.request("GET", path, headers={"Accept": "text/event-stream"})
        assert (status, b"TOO_MANY_STREAMS" in body) == (503, True)
        assert server.query("{ queue { depth } }") == {"queue": {"depth": 1}}
