"""The examples of docs/extending.md run together as they stand there: in a server, and with a process of workers."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from access_site import KEYS, SECRETS
from console_client import ConsoleClient
from console_pages import console_of, row, serious
from many_processes import Fleet
from playwright.sync_api import expect
from server_process import ROOT, ServerProcess, wait_until

from afterwrite.access.roles import Role

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w/]+\.(?:py|html))`.*?^```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
ASK, ADD, COUNT = re.findall(r"^```graphql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
STOCKS = "{ stocks { nodes { id sku onHand } } }"
SERVE = ("-m", "afterwrite", "serve")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of the page."""
    place = tmp_path / "shop"
    for name, source in FILES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(source, encoding="utf-8")
    return place


@pytest.fixture
def start(folder: Path, make_server: Callable[..., ServerProcess]) -> Callable[..., ServerProcess]:
    """Starts the application of the page."""

    def started(**environment: str) -> ServerProcess:
        server = make_server(PYTHONPATH=str(ROOT), **environment)
        server.program = SERVE
        return server.start(cwd=folder)

    return started


@pytest.fixture
def shop(start: Callable[..., ServerProcess]) -> ServerProcess:
    """The application of the page, running, with its two articles."""
    server = start()
    server.query(ADD)
    wait_until(lambda: len(stocks(server)) == 2)
    return server


@pytest.fixture
def visit() -> Iterator[Callable[[ServerProcess], ConsoleClient]]:
    """Makes visitors of the console; closes their connections at the end."""
    with contextlib.ExitStack() as stack:

        def visitor(server: ServerProcess) -> ConsoleClient:
            made = ConsoleClient(server)
            stack.callback(made.http.close)
            return made

        yield visitor


def stocks(server: ServerProcess) -> dict[str, int]:
    """How many pieces of each article there are."""
    return {one["sku"]: one["onHand"] for one in server.query(STOCKS)["stocks"]["nodes"]}


def deliver(server: ServerProcess, stock: int, quantity: Any) -> httpx.Response:
    """The answer to the request of the page."""
    return httpx.post(f"{server.url}/deliveries/{stock}", json={"quantity": quantity}, headers={"Delivery-Id": "7"})


def task_of(server: ServerProcess, task_id: str) -> Any:
    """The task once it has ended."""
    document = f"{{ task(id: {task_id}) {{ status result error {{ code }} }} }}"
    ended = ("COMPLETED", "FAILED")
    return wait_until(lambda: found if (found := server.query(document)["task"])["status"] in ended else None)


@pytest.mark.one_database("looks at the page alone")
def test_every_example_has_less_than_25_lines_and_is_registered() -> None:
    assert len(FILES) == 8
    assert {name: len(text.splitlines()) for name, text in FILES.items() if len(text.splitlines()) >= 25} == {}
    modules = {Path(name).stem for name in FILES if name.endswith(".py")} - {"app"}
    assert set(re.findall(r"^from (\w+) import", FILES["app.py"], re.MULTILINE)) == modules | {"afterwrite"}


def test_the_query_and_the_mutation_answer_with_types_of_the_schema(shop: ServerProcess) -> None:
    found = shop.query(ASK)["lowStock"]
    assert found == [{"id": "1", "sku": "lamp", "onHand": 0}, {"id": "2", "sku": "chair", "onHand": 0}]
    writes = shop.query(ADD)["addArticles"]["writes"]  # the same key
    assert [(write["status"], write["recordId"]) for write in writes] == [("APPLIED", "1"), ("APPLIED", "2")]
    again = 'mutation { addArticles(skus: ["%s"]) { writes { record { id ... on Stock { sku } } } } }'
    answer = httpx.post(f"{shop.url}/graphql", json={"query": again % ("x" * 41)}).json()
    error = answer["errors"][0]
    assert (error["extensions"]["code"], error["path"]) == ("TOO_LONG", ["addArticles"])
    assert stocks(shop) == {"lamp": 0, "chair": 0}


def test_the_write_of_the_route_is_applied_once_and_a_refused_one_is_a_problem(shop: ServerProcess) -> None:
    answer = deliver(shop, 1, 12)
    assert (answer.status_code, deliver(shop, 1, 12).json()) == (202, answer.json())
    wait_until(lambda: stocks(shop) == {"lamp": 12, "chair": 0})
    refused = deliver(shop, 1, 0)
    assert (refused.status_code, refused.headers["Content-Type"]) == (422, "application/problem+json")
    assert refused.json()["code"] == "OUT_OF_RANGE"


def test_the_task_of_the_worker_is_completed_and_its_write_applied(shop: ServerProcess) -> None:
    ended = task_of(shop, shop.query(COUNT)["createTask"]["id"])
    assert (ended["status"], ended["result"]["status"]) == ("COMPLETED", "APPLIED")
    assert stocks(shop) == {"lamp": 40, "chair": 0}
    missing = task_of(shop, shop.query(COUNT.replace("stock: 1", "stock: 7"))["createTask"]["id"])
    assert (missing["status"], missing["error"]["code"]) == ("FAILED", "STOCK_NOT_FOUND")


@pytest.mark.one_database("a process of workers needs PostgreSQL")
def test_a_process_of_workers_runs_the_task_of_the_worker(fleet: Fleet, folder: Path) -> None:
    server = fleet.server(PYTHONPATH=str(ROOT), RUN_WORKERS="off")
    server.program = SERVE
    server.start(cwd=folder)
    fleet.worker().start()  # of another application: it runs no task of this one
    server.query(ADD)
    task = server.query(COUNT)["createTask"]["id"]
    fleet.worker(PYTHONPATH=str(ROOT)).start(cwd=folder)
    assert task_of(server, task)["status"] == "COMPLETED"
    assert stocks(server) == {"lamp": 40, "chair": 0}


@pytest.mark.one_database("the page is the same over both")
def test_the_page_is_in_the_navigation_and_its_form_writes(shop: ServerProcess, tmp_path: Path) -> None:
    with console_of(shop, tmp_path) as browser:
        page = browser.page
        page.goto("/")
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Reports").click()
        expect(page.get_by_role("heading", name="Reports")).to_be_visible()
        expect(page.locator("nav a[aria-current]")).to_have_text("Reports")
        assert serious(page) == []
        row(page, "lamp").get_by_role("button", name="Order 10 more").click()
        wait_until(lambda: stocks(shop)["lamp"] == 10)
        page.reload()
        expect(row(page, "lamp")).to_contain_text("10")


@pytest.mark.one_database("the page is the same over both")
def test_a_form_without_its_token_and_a_refused_write_are_answered_with_a_page(
    shop: ServerProcess, visit: Callable[[ServerProcess], ConsoleClient]
) -> None:
    visitor = visit(shop)
    assert visitor.http.post("/reports/restock", data={"stock": "1"}).status_code == 403
    policy = visitor.get("/reports").headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    refused = visitor.post("/reports/restock", {"stock": "one"})
    assert (refused.status_code, refused.headers["Content-Type"]) == (422, "text/html; charset=utf-8")
    assert "give the whole number of a stock" in refused.text
    assert visitor.post("/reports/restock", {"stock": "1"}).headers["Location"] == "/reports"
    wait_until(lambda: stocks(shop) == {"lamp": 10, "chair": 0})


@pytest.mark.one_database("roles are the same over both")
def test_each_role_may_what_the_page_says(
    start: Callable[..., ServerProcess], visit: Callable[[ServerProcess], ConsoleClient]
) -> None:
    server = start(API_KEYS=KEYS)
    stranger = visit(server)
    assert stranger.get("/reports").headers["Location"] == "/sign-in?next=/reports"
    reader = visit(server)
    reader.sign_in(SECRETS[Role.READ])
    assert 'href="/reports"' in reader.get("/").text
    assert reader.post("/reports/restock", {"stock": "1"}).status_code == 403

    def asked(document: str, role: Role) -> Any:
        headers = {"Authorization": f"Bearer {SECRETS[role]}"}
        return httpx.post(f"{server.url}/graphql", json={"query": document}, headers=headers).json()

    assert asked(ASK, Role.READ) == {"data": {"lowStock": []}}
    assert json.dumps(asked(ADD, Role.WRITE)).count("FORBIDDEN") == 1
    assert len(asked(ADD, Role.ADMIN)["data"]["addArticles"]["writes"]) == 2


@pytest.mark.one_database("does not reach a database")
@pytest.mark.parametrize(
    ("line", "wrong", "said"),
    [
        ('pages={"Reports": "reports.index"}', 'pages={"Reports": "reports.list"}', "answers no GET without arguments"),
        ('pages={"Reports": "reports.index"}', 'pages={"Reports": "reports.restock"}', "give reports.index"),
        ("blueprints=[deliveries, reports]", "blueprints=[deliveries, deliveries, reports]", "cannot be registered"),
        ("blueprints=[deliveries, reports]", "blueprints=[deliveries, reports, 7]", "blueprints has 7: give Flask"),
        ("workers=[CountingWorker]", "workers=[CountingWorker, CountingWorker]", "has two workers"),
        ('"Mutation.addArticles": "admin"', '"Mutation.addArticle": "admin"', "the application does not add"),
        ('"Mutation.addArticles": "admin"', '"Mutation.addArticles": "boss"', "the role 'boss': give one of"),
        ("query=Query", "query=Stock", "has no fields of GraphQL: give a class derived from graphene.ObjectType"),
        ("resources=[Stock]", "resources=[]", "graphql_type(Stock): add it to the resources of the application"),
    ],
)
def test_a_wrong_line_of_the_application_stops_the_start_with_one_line(
    folder: Path, tmp_path: Path, line: str, wrong: str, said: str
) -> None:
    source = FILES["app.py"]
    assert line in source
    (folder / "app.py").write_text(source.replace(line, wrong), encoding="utf-8")
    code, errors = refused_start(folder, tmp_path)
    assert (code, errors.count("\n"), said in errors) == (1, 1, True), errors


@pytest.mark.one_database("does not reach a database")
def test_a_route_that_the_server_has_already_stops_the_start(folder: Path, tmp_path: Path) -> None:
    (folder / "reports.py").write_text(
        FILES["reports.py"].replace('get("/reports")', 'get("/tasks")'), encoding="utf-8"
    )
    said = "afterwrite: blueprints has GET /tasks, which the server has already: give the route another path"
    assert refused_start(folder, tmp_path) == (1, f"{said}\n")


def refused_start(folder: Path, tmp_path: Path) -> tuple[int, str]:
    """The exit code of a server that does not start, and what it says."""
    server = ServerProcess(tmp_path / "data", PYTHONPATH=str(ROOT))
    server.program = SERVE
    process = server.launch(cwd=folder, keep_errors=True)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors
