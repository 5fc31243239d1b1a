"""The console for callers with keys: signing in, what each role sees, and what the server refuses all the same."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from console_client import ConsoleClient
from console_pages import PLACES, console_of, create_product, row
from playwright.sync_api import Page, expect
from server_process import ServerProcess, wait_until

from afterwrite.access.keys import Key, hash_of
from afterwrite.access.roles import Role

pytestmark = pytest.mark.one_database("what a page shows to whom")

MakeServer = Callable[..., ServerProcess]
SECRETS = {"reader": "aw_reader", "writer": "aw_writer", "boss": "aw_boss"}
KEYS = ",".join(
    Key(name, role, hash_of(SECRETS[name])).line
    for name, role in (("reader", Role.READ), ("writer", Role.WRITE), ("boss", Role.ADMIN))
)
# What a page offers to press, by the role that it needs.
WRITES = (
    "Create product",
    "Upload a file",
    "Edit",
    "Delete",
    "Create entry",
    "Submit a job",
    "Create customer",
    "Cancel",
    "Retry",
)
ADMINS = ("Pause", "Prune")


@pytest.fixture
def guarded(make_server: MakeServer) -> ServerProcess:
    """A server with keys, with a product, a failed write and a waiting task of the writer."""
    server = make_server(API_KEYS=KEYS, STAGE_SECONDS="3600", CONSOLE_POLL_SECONDS="1").start()
    writer = ConsoleClient(server)
    writer.sign_in(SECRETS["writer"])
    writer.post("/products", {"title": "Desk", "price": "200"})
    writer.post("/products/77/delete")
    writer.post("/entries", {"title": "Hello"})
    writer.http.close()
    return server


@pytest.fixture
def visit_as(guarded: ServerProcess) -> Iterator[Callable[[str], ConsoleClient]]:
    """Makes visitors who are signed in with the key of a name."""
    made: list[ConsoleClient] = []

    def visit(name: str) -> ConsoleClient:
        made.append(ConsoleClient(guarded))
        assert made[-1].sign_in(SECRETS[name]).status_code == 303
        return made[-1]

    yield visit
    for client in made:
        client.http.close()


def offered(client: ConsoleClient) -> set[str]:
    """The words on the buttons, and on the links that look like ones, of all lists."""
    buttons = re.compile(r'<(button|a class="button[^"]*")[^>]*>(.*?)</(?:button|a)>', re.DOTALL)
    return {words for place in PLACES for _, words in buttons.findall(client.get(place).text)}


def test_a_session_is_begun_with_a_key_and_ended(guarded: ServerProcess, tmp_path: Path) -> None:
    with console_of(guarded, tmp_path) as visit:
        page = visit.page
        page.goto("/tasks?status=FAILED")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        expect(page.get_by_label("Key")).to_be_focused()
        page.keyboard.type("aw_nothing")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("No such key")
        visit.complaints.clear()  # the browser's own line about the status 401
        page.get_by_label("Key").fill(SECRETS["writer"])
        page.keyboard.press("Enter")
        page.wait_for_url("**/tasks?status=FAILED")  # where one wanted to go
        expect(page.get_by_text("writer")).to_be_visible()

        page.goto("/products")
        create_product(page, "Chair", "80")
        page.goto("/writes")
        expect(row(page, "Create product 2")).to_contain_text("writer")
        page.goto("/writes?by=boss")
        expect(page.get_by_text("No write matches")).to_be_visible()
        page.goto("/tasks?by=writer")
        expect(page.locator("[data-watch-id]", has_text="entry")).to_contain_text("writer")

        [cookie] = [one for one in visit.context.cookies() if one["name"].startswith("afterwrite")]
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
        page.get_by_role("button", name="Sign out").click()
        page.goto("/products")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_graphiql_works_for_who_is_signed_in(guarded: ServerProcess, tmp_path: Path) -> None:
    with console_of(guarded, tmp_path) as visit:
        page = visit.page
        page.goto("/graphql?query={products{totalCount}}")
        page.get_by_label("Key").fill(SECRETS["reader"])
        page.keyboard.press("Enter")
        page.wait_for_url("**/graphql?query=*")
        # GraphiQL takes no notice of a click before all its editors are there: click again while nothing runs.
        run = "document.querySelector('.graphiql-execute-button[aria-label^=Execute]')?.click()"
        shown = "document.querySelector('.result-window .CodeMirror')?.textContent.includes('\"totalCount\": 1')"
        wait_until(lambda: page.evaluate(f"{shown} || ({run}, false)"))


def test_each_role_sees_what_it_may_press(visit_as: Callable[[str], ConsoleClient]) -> None:
    assert not offered(visit_as("reader")) & {*WRITES, *ADMINS}
    assert offered(visit_as("writer")) & {*WRITES, *ADMINS} == {*WRITES}
    assert offered(visit_as("boss")) >= {*WRITES, *ADMINS}


def test_who_comes_without_a_key_can_sign_in_for_more(make_server: MakeServer) -> None:
    server = make_server(API_KEYS=KEYS, ALLOW_ANONYMOUS="write").start()
    visitor = ConsoleClient(server)
    assert 'href="/sign-in"' in visitor.get("/products").text
    visitor.sign_in(SECRETS["boss"])
    assert 'href="/sign-in"' not in visitor.get("/products").text
    assert "Pause" in visitor.get("/tasks").text
    visitor.http.close()


def test_a_forbidden_action_is_refused_and_changes_nothing(
    guarded: ServerProcess, visit_as: Callable[[str], ConsoleClient]
) -> None:
    reader, writer, boss = map(visit_as, ("reader", "writer", "boss"))
    assert reader.post("/products", {"title": "x", "price": "1"}).status_code == 403
    assert reader.post("/products/1/delete").status_code == 403
    assert reader.get("/products/new").status_code == 403
    assert writer.post("/task-types/entry/pause").status_code == 403
    assert writer.get("/tasks/prune").status_code == 403
    assert "1 product " in boss.get("/products").text
    assert "paused" not in boss.get("/tasks").text
    assert boss.post("/task-types/entry/pause").status_code == 303
    assert "by boss" in boss.get("/tasks").text


def test_queue_figures_and_reasons_are_for_administrators(visit_as: Callable[[str], ConsoleClient]) -> None:
    assert "Queue depth" not in visit_as("writer").get("/").text
    assert "Queue depth" in visit_as("boss").get("/").text


def test_a_form_without_the_token_of_its_session_is_refused(visit_as: Callable[[str], ConsoleClient]) -> None:
    writer, other = visit_as("writer"), visit_as("writer")
    form = {"title": "x", "price": "1"}
    for token in ("", "wrong", other.token):
        assert writer.post("/products", {**form, "csrf_token": token}).status_code == 403
    assert "1 product " in writer.get("/products").text
    assert writer.post("/products", form).status_code == 200


def test_a_session_that_has_ended_goes_to_sign_in_and_back(guarded: ServerProcess, tmp_path: Path) -> None:
    with console_of(guarded, tmp_path) as visit:
        page = visit.page
        page.goto("/entries")
        page.get_by_label("Key").fill(SECRETS["writer"])
        page.keyboard.press("Enter")
        expect(row(page, "Hello")).to_be_visible()
        visit.context.clear_cookies()  # as its life would end; the next look of the page finds it
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.get_by_label("Key").fill(SECRETS["writer"])
        page.keyboard.press("Enter")
        page.wait_for_url("**/entries")
        visit.complaints = [text for text in visit.complaints if "401" not in text]


def test_a_reader_in_a_browser_finds_no_forbidden_button_and_the_server_refuses_anyway(
    guarded: ServerProcess, tmp_path: Path
) -> None:
    with console_of(guarded, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        page.get_by_label("Key").fill(SECRETS["reader"])
        page.keyboard.press("Enter")
        expect(row(page, "Desk")).to_be_visible()
        _no_buttons(page)
        for place in ("/writes", "/tasks", "/entries", "/process", "/"):
            page.goto(place)
            _no_buttons(page)
        status = page.evaluate(
            """fetch("/products", {method: "POST", headers: {"X-CSRF-Token":
               document.querySelector('meta[name=csrf-token]').content,
               "Content-Type": "application/x-www-form-urlencoded"}, body: "title=x&price=1"}).then(a => a.status)"""
        )
        assert status == 403
        visit.complaints.clear()  # the browser's own line about the status 403
        page.goto("/products")
        expect(page.get_by_text("1 product")).to_be_visible()


def _no_buttons(page: Page) -> None:
    expect(page.locator("main button, main a.button")).to_have_count(0)
    assert page.locator("dialog[open]").count() == 0
