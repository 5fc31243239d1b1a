"""Apollo's own clients send persisted queries to a real server, as their users set them up."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from npm_packages import installed
from server_process import ServerProcess

CLIENTS = {
    3: ("@apollo/client@3.14.1", "graphql@16.12.0"),
    4: ("@apollo/client@4.3.8", "graphql@16.12.0", "rxjs@7.8.2"),
}
ASKED_BY_HASH = {"hasQuery": False, "hasHash": True, "status": 200}
ASKED_BY_TEXT = {"hasQuery": True, "hasHash": True, "status": 200}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all clients; each sends documents of its own."""
    server = ServerProcess(tmp_path_factory.mktemp("data")).start()
    yield server
    server.kill()


def send(api: ServerProcess, client: int, method: str, *documents: dict[str, Any]) -> Any:
    """What a client was answered, and the requests that it sent."""
    folder = installed(*CLIENTS[client])
    script = shutil.copy(Path(__file__).with_name("apollo.mjs"), folder)
    command = ["node", script, f"{api.url}/graphql", method, json.dumps(documents)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_is_sent_as_text_once_and_then_by_its_hash(api: ServerProcess, client: int, method: str) -> None:
    query = f"query Of{client}{method}($name: String!) {{ __type(name: $name) {{ name }} }}"
    documents = [{"query": query, "variables": {"name": name}} for name in ("Product", "Wörte & +")]
    found = send(api, client, method, *documents)
    assert [answer["__type"] for answer in found["data"]] == [{"name": "Product", "__typename": "__Type"}, None]
    assert found["sent"] == [
        {"method": method, **ASKED_BY_HASH},
        {"method": "POST", **ASKED_BY_TEXT},
        {"method": method, **ASKED_BY_HASH},
    ]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_mutation_is_sent_by_its_hash_too_but_never_by_get(api: ServerProcess, client: int) -> None:
    mutation = f"mutation Of{client}($title: String!) {{ createProduct(title: $title, price: 1) {{ success }} }}"
    documents = [{"query": mutation, "variables": {"title": title}} for title in ("Lamp", "Table")]
    found = send(api, client, "GET", *documents)
    assert [answer["createProduct"]["success"] for answer in found["data"]] == [True, True]
    assert found["sent"] == [
        {"method": "POST", **ASKED_BY_HASH},
        {"method": "POST", **ASKED_BY_TEXT},
        {"method": "POST", **ASKED_BY_HASH},
    ]
