"""The console over plain HTTP, as it answers while nothing changes: pages that are kept, and what is refused."""

from collections.abc import Iterator

import pytest
from console_client import ConsoleClient
from console_pages import PLACES
from server_process import ServerProcess


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleClient]:
    """A browser at the one server of all tests of this file, which change nothing."""
    server = ServerProcess(tmp_path_factory.mktemp("console") / "data").start()
    found = ConsoleClient(server)
    found.get("/")
    yield found
    found.http.close()
    server.kill()


@pytest.mark.parametrize("place", PLACES)
def test_a_page_that_has_not_changed_is_answered_304(visitor: ConsoleClient, place: str) -> None:
    page = visitor.get(place)
    assert page.status_code == 200
    again = visitor.get(place, If_None_Match=page.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert "Content-Security-Policy" not in again.headers  # it would take the place of the kept page's own
    assert visitor.get(place, If_None_Match='"another"').status_code == 200


def test_a_task_form_tells_everything_that_is_wrong_at_once(visitor: ConsoleClient) -> None:
    empty = visitor.post("/tasks/new/customer")
    assert empty.text.count("Give a value") == 2
    wrong = {"amount": "19.99", "currency": "euro", "customer_id": "ada"}
    page = visitor.post("/tasks/new/payment", wrong).text
    for told in ("Give a whole number", "not of the form eur", "not of the form cus_abc123"):
        assert told in page
    assert "Give an object with a list of products" in visitor.post("/process", {"payload": "[1]"}).text


@pytest.mark.parametrize("path", ["/nothing", "/tasks/abc", "/entries/5"])
def test_a_mistyped_address_gets_a_browser_a_page_and_a_program_json(visitor: ConsoleClient, path: str) -> None:
    page = visitor.get(path)
    assert (page.status_code, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "<h1>Page not found</h1>" in page.text
    assert f"There is no page at {path}: check the address" in page.text
    assert "Go to the overview" in page.text
    answer = visitor.http.get(path, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")


@pytest.mark.parametrize("number", [2**63, 10**30])
def test_a_number_that_is_no_id_finds_nothing(visitor: ConsoleClient, number: int) -> None:
    for path in ("/writes/{}", "/tasks/{}", "/products/{}", "/products/{}/delete"):
        assert visitor.get(path.format(number)).status_code == 404
    for path in ("/tasks/{}/cancel", "/tasks/{}/retry", "/products/{}", "/products/{}/delete", "/writes/{}/retry"):
        assert visitor.post(path.format(number)).status_code in (404, 409)


@pytest.mark.parametrize("payload", ["[" * 500 + "]" * 500, '{"products": [], "products": []}', "NaN", '"\\ud800"'])
def test_a_payload_that_is_no_plain_json_is_refused(visitor: ConsoleClient, payload: str) -> None:
    answer = visitor.post("/process", {"payload": payload})
    assert answer.status_code == 422
    assert "This is " in answer.text


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/products?min_price=cheap", "&#39;cheap&#39;: give a number"),
        ("/products?after=nonsense", "give a cursor that the API answered"),
        ("/products?search=" + "x" * 201, "Has 201 characters: 200 are the limit"),
        ("/writes?record=lamp", "is not a record id"),
        ("/writes?after=x", "give a whole number"),
        ("/tasks?after=x", "give a whole number"),
        ("/entries?search=%00", "remove it"),
    ],
)
def test_a_url_that_cannot_be_meant_says_so(visitor: ConsoleClient, path: str, told: str) -> None:
    page = visitor.get(path)
    assert page.status_code == 400
    assert told in page.text
    assert page.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("", b"", "No file was chosen"),
        ("notes.csv", b"a,b\n1,2\n", "notes.csv has no column title (or name) and price"),
        ("x.json", b'[{"title": "x"', "x.json is not a JSON array of products"),
        ("utf16.csv", "title,price\n".encode("utf-16"), "utf16.csv is UTF-16"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(visitor: ConsoleClient, name: str, content: bytes, told: str) -> None:
    answer = visitor.post("/products/upload", files={"file": (name, content)})
    assert answer.status_code == 422
    assert told in answer.text
