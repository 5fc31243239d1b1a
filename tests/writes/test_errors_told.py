"""What callers are told of a database that cannot be used: no paths, which are for the log and for administrators."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from console_client import ConsoleClient
from other_process import write_lock
from server_process import ServerProcess

from afterwrite.access.keys import Key, hash_of
from afterwrite.access.roles import Role

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="takes locks and limits of POSIX"),
    pytest.mark.one_database("paths are those of files"),
]

SECRETS = {Role.WRITE: "aw_writer", Role.ADMIN: "aw_boss"}
KEYS = ",".join(Key(role.word, role, hash_of(secret)).line for role, secret in SECRETS.items())
CREATE_ENTRY = 'mutation { createEntry(title: "Hello") { id } }'
CREATE_PRODUCT = 'mutation { createProduct(title: "Lamp", price: 1) { success message errors { code message } } }'


@pytest.fixture
def server(make_server: Callable[..., ServerProcess]) -> ServerProcess:
    """A server with a key of each role."""
    return make_server(API_KEYS=KEYS).start()


@pytest.fixture
def locked(server: ServerProcess) -> Iterator[ServerProcess]:
    """The same while another process has the lock of its tasks."""
    with write_lock(server.data_dir / "tasks.db"):
        yield server


def test_graphql_names_no_file_and_the_log_does(locked: ServerProcess) -> None:
    for role in SECRETS:
        [error] = _send(locked, role, "/graphql", {"query": CREATE_ENTRY})["errors"]
        assert error["extensions"]["code"] == "DATABASE_UNAVAILABLE"
        _assert_names_no_place(locked, error["message"])
    _assert_logged_once(locked, "tasks.db cannot be written")


def test_rest_names_no_file_and_the_log_does(locked: ServerProcess) -> None:
    problem = _send(locked, Role.WRITE, "/api/entries", {"title": "Hello"})
    assert problem["code"] == "DATABASE_UNAVAILABLE"
    _assert_names_no_place(locked, json.dumps(problem))
    _assert_logged_once(locked, "tasks.db cannot be written")


def test_the_console_names_the_file_to_administrators_only(locked: ServerProcess) -> None:
    shown = {}
    for role, secret in SECRETS.items():
        visitor = ConsoleClient(locked)
        visitor.sign_in(secret)
        answer = visitor.post("/entries", {"title": "Hello"})
        assert answer.status_code == 503
        shown[role] = answer.text
        visitor.http.close()
    _assert_names_no_place(locked, shown[Role.WRITE])
    assert str(locked.data_dir / "tasks.db") in shown[Role.ADMIN]


@pytest.mark.parametrize("query", ["{ categories { name } }", "{ products { totalCount } }"])
def test_a_query_of_products_that_cannot_be_read_names_no_file_and_the_log_does(
    server: ServerProcess, query: str
) -> None:
    for name in ("products.db", "products.db-wal"):
        _damage(server.data_dir / name)
    for role in SECRETS:
        [error] = _send(server, role, "/graphql", {"query": query})["errors"]
        assert error["extensions"]["code"] == "DATABASE_UNAVAILABLE"
        _assert_names_no_place(server, json.dumps(error))
    _assert_logged_once(server, "products.db cannot be read")


def test_a_mutation_that_cannot_be_journaled_names_no_file_and_health_does(server: ServerProcess) -> None:
    import resource

    resource.prlimit(server.worker(), resource.RLIMIT_FSIZE, (0, 0))  # no file may grow
    answer = _send(server, Role.WRITE, "/graphql", {"query": CREATE_PRODUCT})["data"]["createProduct"]
    assert [error["code"] for error in answer["errors"]] == ["JOURNAL_UNWRITABLE"]
    assert "nothing of this request was accepted" in answer["message"]
    _assert_names_no_place(server, json.dumps(answer))
    health = _send(server, Role.ADMIN, "/health")
    assert str(server.data_dir / "journal.db") in health["journal"]["trouble"]


def _send(server: ServerProcess, role: Role, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {SECRETS[role]}", "Content-Type": "application/json"}
    with closing(server.client()) as client:
        method, sent = ("GET", None) if body is None else ("POST", json.dumps(body).encode())
        found: dict[str, Any] = json.loads(client.request(method, path, sent, headers)[1])
        return found


def _damage(path: Path) -> None:
    """Put rubbish in the place of all that a file has, while it is open elsewhere."""
    with path.open("r+b") as file:
        file.write(b"\xa5" * path.stat().st_size)


def _assert_names_no_place(server: ServerProcess, text: str) -> None:
    assert "again later" in text
    for place in (str(server.data_dir), ".db"):
        assert place not in text


def _assert_logged_once(server: ServerProcess, text: str) -> None:
    lines = [line for line in server.log.splitlines() if "a request could not be carried out" in line]
    assert [text in line and str(server.data_dir) in line for line in lines] == [True]
