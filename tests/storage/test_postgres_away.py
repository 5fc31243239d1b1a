"""PostgreSQL goes away while a server works with it: nothing accepted is lost, and all goes on when it is back."""

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from lent_databases import LentDatabases
from postgres_database import PostgresDatabase
from product_calls import codes, create, health, stored_titles, wait_applied, waiting_titles
from server_process import ServerProcess, free_port, wait_until
from sqlalchemy import URL, make_url
from task_calls import problem, rest
from tcp_proxy import TcpProxy

CREATE = 'mutation { createEntry(title: "Hello") { id } }'
CREATE_SYNC = """mutation { createProductSync(title: "waits", price: 1) {
  success product { id } write { status } errors { code } } }"""


class Site(NamedTuple):
    """A server, the way to its database that can be cut, and the address that the server has of it."""

    server: ServerProcess
    proxy: TcpProxy
    url: URL


@pytest.fixture
def site(lent_databases: LentDatabases, tmp_path: Path) -> Iterator[Site]:
    """A server that runs; the test itself sees the database past the proxy."""
    with lent_databases.lend() as url:
        real = make_url(url)
        proxy = TcpProxy(real.host or "127.0.0.1", real.port or 5432)
        through = real.set(host="127.0.0.1", port=proxy.port)
        database = PostgresDatabase(tmp_path / "data", url)
        address = through.render_as_string(hide_password=False)
        server = ServerProcess.on(database, DATABASE_URL=address, STAGE_SECONDS="1", WAIT_SECONDS="2")
        yield Site(server.start(), proxy, through)
        server.kill()
        proxy.cut()


def wait_away(server: ServerProcess) -> None:
    """Wait until the server has noticed."""
    wait_until(lambda: health(server)["status"] == "degraded")


def assert_names_no_database(site: Site, answer: object) -> None:
    """What the server knows of its database is for the log and for /health."""
    assert site.url.username
    for known in (site.url.host, str(site.url.port), site.url.username, site.url.database):
        assert not re.search(rf"\b{re.escape(str(known))}\b", json.dumps(answer)), (known, answer)


def test_a_database_that_is_away_refuses_all_cleanly_and_all_goes_on_when_it_is_back(site: Site) -> None:
    server, proxy, _url = site
    assert create(server, "before")["success"]
    wait_applied(server)
    proxy.cut()
    wait_away(server)
    refused = create(server, "between")
    assert codes(refused) == ["JOURNAL_UNWRITABLE"]
    assert "Nothing of this request was accepted" in refused["message"]
    assert_names_no_database(site, refused)
    with contextlib.closing(server.client()) as client:
        for document in (CREATE, "{ allProducts { title } }", "{ tasks { totalCount } }"):
            [error] = client.execute(document)["errors"]
            assert error["extensions"]["code"] == "DATABASE_UNAVAILABLE", error
            assert_names_no_database(site, error)
    answer = rest(server, "POST", "/api/entries", {"title": "Hello"})
    assert_names_no_database(site, problem(answer, 503, "DATABASE_UNAVAILABLE"))
    assert server.get("/ready")[0] == 200, "it answers, and says what is the matter"
    proxy.restore()
    wait_applied(server)
    assert create(server, "after")["success"]
    wait_applied(server)
    assert stored_titles(server) == ["before", "after"]


def test_writes_that_wait_when_the_database_goes_away_are_applied_in_their_order(site: Site) -> None:
    server, proxy, _url = site
    titles = [f"product {number}" for number in range(20)]
    with server.database.no_drain():
        for title in titles:
            assert create(server, title)["success"]
        proxy.cut()
        wait_away(server)
        assert waiting_titles(server) == titles
    proxy.restore()
    wait_applied(server)
    assert stored_titles(server) == titles
    assert waiting_titles(server) == []


def test_a_write_whose_acceptance_was_not_heard_of_is_accepted_once_when_it_is_sent_again(site: Site) -> None:
    server, proxy, _url = site
    assert create(server, "before")["success"]
    with server.database.no_drain():
        proxy.loses_answers = True
        with contextlib.closing(server.client()) as client:
            document = 'mutation { createProduct(title: "lamp", price: 1, idempotencyKey: "k") { message success } }'
            client.connection.request(
                "POST", "/graphql", f'{{"query": {_quoted(document)}}}', {"Content-Type": "application/json"}
            )
            wait_until(lambda: "lamp" in waiting_titles(server))
            proxy.cut()
            answer = client.connection.getresponse().read().decode()
    assert "Whether this request was accepted is not known" in answer
    assert_names_no_database(site, answer)
    proxy.restore()
    wait_applied(server)
    assert create(server, "lamp", key="k")["success"]
    wait_applied(server)
    assert stored_titles(server) == ["before", "lamp"]


def test_who_waits_for_a_write_when_the_database_goes_away_is_told_in_time(site: Site) -> None:
    server, proxy, _url = site
    with server.database.no_drain(), contextlib.closing(server.client()) as client:
        body = f'{{"query": {_quoted(CREATE_SYNC)}}}'
        client.connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
        wait_until(lambda: waiting_titles(server) == ["waits"])
        proxy.cut()
        answer = client.connection.getresponse().read().decode()
        assert "WRITE_PENDING" in answer or "DATABASE_UNAVAILABLE" in answer, answer
    assert_names_no_database(site, answer)
    proxy.restore()
    wait_applied(server)
    assert stored_titles(server) == ["waits"]


def test_a_task_that_runs_while_the_database_is_away_is_recorded_once_afterwards(site: Site) -> None:
    server, proxy, _url = site
    entry = server.query(CREATE)["createEntry"]["id"]
    status = f'{{ task(id: "{entry}") {{ status attempt }} }}'
    wait_until(lambda: server.query(status)["task"]["status"] == "PROCESSING")
    proxy.cut()
    wait_until(lambda: health(server)["tasks"]["status"] == "degraded")
    proxy.restore()
    wait_until(lambda: server.query(status)["task"]["status"] == "COMPLETED")
    assert server.query(status)["task"]["attempt"] == 1
    wait_until(lambda: health(server)["status"] == "ok")
    stages = server.query(f'{{ task(id: "{entry}") {{ result }} }}')["task"]["result"]["stages"]
    assert [stage["stage"] for stage in stages] == ["STAGE_1", "STAGE_2", "COMPLETED"]


@pytest.mark.skipif(sys.platform == "win32", reason="reads what the process says")
def test_a_start_without_the_database_is_refused_in_one_line_without_the_password(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://ann:secret@127.0.0.1:{free_port()}/afterwrite"
    (tmp_path / "data").mkdir()
    process = ServerProcess(tmp_path / "data", DATABASE_URL=url).launch(keep_errors=True)
    _out, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.startswith("afterwrite: PostgreSQL cannot be reached at postgresql://ann:***@127.0.0.1:"), said
    assert said.count("\n") == 1
    assert "secret" not in said


def _quoted(document: str) -> str:
    escaped = document.replace("\n", " ").replace('"', '\\"')
    return f'"{escaped}"'
