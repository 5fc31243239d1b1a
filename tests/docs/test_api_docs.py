"""The examples of docs/api.md and GraphiQL's tabs work with the key that the README makes."""

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from access_site import KEYS, SECRETS
from server_process import ROOT, ServerProcess
from task_calls import Answer, rest

from afterwrite.access.roles import Role

pytestmark = pytest.mark.one_database("what a role may ask for is the same over both")

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
DOCUMENTS = re.findall(r"^```graphql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TABS = {
    path.stem: path.read_text(encoding="utf-8") for path in ROOT.glob("afterwrite/static/graphiql/examples/*.graphql")
}
VARIABLES = {"products": [{"title": "Lamp", "price": 12.5}]}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a key of each role."""
    folder = tmp_path_factory.mktemp("docs") / "data"
    server = ServerProcess(folder, API_KEYS=KEYS, STAGE_SECONDS="0").start()
    yield server
    server.kill()


def ask(api: ServerProcess, document: str, role: Role, accept: str = "application/json") -> Answer:
    """The answer to a document, with the variables that the page gives."""
    body = {"query": document, "variables": VARIABLES if "$products" in document else {}}
    return rest(api, "POST", "/graphql", body, Authorization=f"Bearer {SECRETS[role]}", Accept=accept)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_example_of_the_page_works_with_a_write_key_unless_it_says_otherwise(
    api: ServerProcess, document: str
) -> None:
    role = Role.ADMIN if "# with an admin's key" in document else Role.WRITE
    answer = ask(api, document, role)
    assert answer.status == 200, answer.body
    assert "errors" not in answer.body


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples use curl")
def test_the_examples_of_rest_create_change_list_and_delete_a_product(api: ServerProcess) -> None:
    [block] = [text for text in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "/api/products" in text]
    key = f"curl -H 'Authorization: Bearer {SECRETS[Role.WRITE]}'"
    script = block.replace("http://127.0.0.1:5000", api.url).replace("curl", key)
    run = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, timeout=60, check=True)
    assert re.findall(r"HTTP/1\.1 (\d+)", run.stdout) == ["201", "200", "200", "202"]
    assert '"title":"Lamp","price":11.0' in run.stdout


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_of_graphiql_works_with_a_write_key(api: ServerProcess, tab: str) -> None:
    if "\nsubscription" in TABS[tab]:
        answer = ask(api, TABS[tab], Role.WRITE, accept="text/event-stream")
        assert (answer.status, answer.headers.get_content_type()) == (200, "text/event-stream")
        return
    answer = ask(api, TABS[tab], Role.WRITE)
    assert answer.status == 200, answer.body
    assert "errors" not in answer.body


def test_the_page_and_graphiql_have_examples() -> None:
    assert len(DOCUMENTS) == 3
    assert len(TABS) == 6
