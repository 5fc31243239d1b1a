"""What the server answers beside its APIs: paths that are not there, the root, and what the HTTP server refuses."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import Database
from server_process import ServerProcess


@pytest.fixture(scope="module")
def api(module_database: Database) -> Iterator[ServerProcess]:
    """One server for all tests of this file; each test works on products of its own."""
    server = ServerProcess.on(module_database, WAIT_SECONDS="5").start()
    yield server
    server.kill()


@pytest.mark.parametrize("path", ["/nothing", "/graphql/x", "/static/../app.py", "/static/nothing.svg"])
def test_an_unknown_path_gets_json_and_not_a_page(api: ServerProcess, path: str) -> None:
    status, body = api.get(path)
    assert status == 404
    assert json.loads(body)["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


def test_the_root_is_the_console(api: ServerProcess) -> None:
    with contextlib.closing(api.client()) as client:
        client.connection.request("GET", "/")
        answer = client.connection.getresponse()
        page = answer.read().decode()
    assert (answer.status, answer.headers.get_content_type()) == (200, "text/html")
    assert 'href="/graphql"' in page


def test_introspection_can_be_turned_off(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", INTROSPECTION="off").start()
    try:
        with contextlib.closing(server.client()) as client:
            refused = client.execute("{ __schema { types { name } } }")
            misspelt = client.execute("{ allProduct { id } }")
            page, _body = client.request("GET", "/graphql", headers={"Accept": "text/html"})
        assert refused["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        assert "Did you mean" not in misspelt["errors"][0]["message"]
        assert page != 200
    finally:
        server.kill()


@pytest.mark.skipif(os.name == "nt", reason="gunicorn does not run on Windows")
def test_what_gunicorn_refuses_itself_is_json_too(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", SERVER="gunicorn").start()
    try:
        for request in (b"nonsense\r\n\r\n", b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as raw:
                raw.sendall(request)
                answer = b"".join(iter(lambda: raw.recv(65536), b""))
            head, _, body = answer.partition(b"\r\n\r\n")
            assert b"application/json" in head
            assert json.loads(body)["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    finally:
        server.kill()
