"""What lies between resources: references, upserts and changes of many, over HTTP and on both databases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from graphql import graphql_sync
from library_app import application
from server_process import ServerProcess, wait_until
from sqlalchemy import event
from write_load import PARCELS_PATH

from afterwrite.base.settings import Settings
from afterwrite.service.process import Process
from afterwrite.writes import requests

if TYPE_CHECKING:
    from databases import Database


@pytest.fixture(scope="module")
def server(module_database: "Database") -> Iterator[ServerProcess]:
    """A running server of the library."""
    made = ServerProcess.on(module_database, PYTHONPATH=PARCELS_PATH, STAGE_SECONDS="0")
    made.program = ("tests/support/library_app.py",)
    yield made.start()
    made.kill()


class Library:
    """Writes to the library and waits for what comes of it."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server

    def write(self, call: str) -> Any:
        """The settled receipt of a mutation."""
        answer = self.query(f"mutation {{ {call} {{ errors {{ message }} write {{ id }} }} }}")
        assert answer["errors"] == []
        return self.settled(answer["write"]["id"])

    def settled(self, write_id: str) -> Any:
        """A receipt, once it is settled."""
        query = f'{{ write(id: "{write_id}") {{ status recordId operation error {{ code message }} }} }}'
        return wait_until(lambda: self._unless_queued(query))

    def _unless_queued(self, query: str) -> Any:
        found = self.server.query(query)["write"]
        return None if found["status"] == "QUEUED" else found

    def query(self, document: str) -> Any:
        """The value of the only root field."""
        [found] = self.server.query(document).values()
        return found

    def made(self, call: str) -> str:
        """The id of the record that a mutation made."""
        receipt = self.write(call)
        assert receipt["status"] == "APPLIED", receipt
        return str(receipt["recordId"])


@pytest.fixture
def library(server: ServerProcess) -> Library:
    return Library(server)


def _author(library: Library, name: str) -> str:
    return library.made(f'createAuthor(name: "{name}")')


def test_a_reference_must_exist_when_the_write_applies(library: Library) -> None:
    refused = library.write('createBook(title: "Ulysses", authorId: 999999)')
    assert (refused["status"], refused["error"]["code"]) == ("FAILED", "REFERENCE_NOT_FOUND")
    assert refused["error"]["message"] == (
        "author_id is 999999, and there is no Author 999999: give one that exists; nothing was changed"
    )
    author = _author(library, "Joyce")
    book = library.made(f'createBook(title: "Ulysses", authorId: {author})')
    moved = library.write(f'updateBook(bookId: {book}, authorId: "999999")')
    assert moved["error"]["code"] == "REFERENCE_NOT_FOUND"
    wrong = library.server.query(
        'mutation { createBook(title: "x", authorId: "me") { success errors { field code } } }'
    )
    assert wrong["createBook"] == {"success": False, "errors": [{"field": ["authorId"], "code": "WRONG_TYPE"}]}
    found = library.server.query(f"{{ book(bookId: {book}) {{ authorId author {{ id name }} whole {{ id }} }} }}")[
        "book"
    ]
    assert found == {"authorId": author, "author": {"id": author, "name": "Joyce"}, "whole": None}


def test_records_that_are_queued_together_may_refer_to_each_other(library: Library) -> None:
    """The id of a create is known at once, so the next write can refer to it before it is applied."""
    document = """mutation { author: createAuthor(name: "Eco") { write { recordId } } }"""
    author = library.server.query(document)["author"]["write"]["recordId"]
    books = ", ".join(f'{{title: "Volume {n}", authorId: {author}}}' for n in range(60))
    made = library.server.query(f"mutation {{ createBooks(books: [{books}]) {{ success writes {{ id }} }} }}")[
        "createBooks"
    ]
    assert library.settled(made["writes"][-1]["id"])["status"] == "APPLIED"
    of_author = "title whole { title } author { name }"
    page = library.server.query(
        f"{{ author(authorId: {author}) {{ books(first: 50, orderBy: TITLE_DESC) {{ totalCount nodes {{ {of_author} }} "
        "pageInfo { hasNextPage endCursor } } } }"
    )["author"]["books"]
    assert (page["totalCount"], len(page["nodes"]), page["pageInfo"]["hasNextPage"]) == (60, 50, True)
    assert page["nodes"][0] == {"title": "Volume 9", "whole": None, "author": {"name": "Eco"}}
    cursor = page["pageInfo"]["endCursor"]
    rest = library.query(
        f'{{ author(authorId: {author}) {{ books(first: 50, orderBy: TITLE_DESC, after: "{cursor}") {{ nodes '
        "{ title } } } }"
    )["books"]["nodes"]
    assert len({one["title"] for one in [*page["nodes"], *rest]}) == 60


def test_deleting_what_is_referred_to_does_what_was_declared(library: Library) -> None:
    author = _author(library, "Proust")
    whole = library.made(f'createBook(title: "Recherche", authorId: {author})')
    part = library.made(f'createBook(title: "Swann", authorId: {author}, wholeId: {whole}, signature: "P-1")')
    loan = library.made(f'createLoan(bookId: {part}, reader: "Mia")')
    refused = library.write(f"deleteBook(bookId: {part})")
    assert refused["error"] == {
        "code": "REFERENCED",
        "message": f"Loan {loan} refers to Book {part}: change or delete it first; nothing was changed",
    }
    assert library.write(f"deleteAuthor(authorId: {author})")["error"]["code"] == "REFERENCED"  # through the books
    assert library.write(f"deleteBook(bookId: {whole})")["status"] == "APPLIED"
    left = library.server.query(f"{{ book(bookId: {part}) {{ wholeId version }} }}")["book"]
    assert left == {"wholeId": None, "version": 2}
    assert library.write(f"deleteLoan(loanId: {loan})")["status"] == "APPLIED"
    assert library.write(f"deleteAuthor(authorId: {author})")["status"] == "APPLIED"
    assert library.server.query(f"{{ book(bookId: {part}) {{ id }} }}") == {"book": None}
    other = _author(library, "Gide")  # the unique value of a book that went with its author is free
    library.made(f'createBook(title: "Caves", authorId: {other}, signature: "P-1")')


def test_a_batch_that_deletes_and_refers_is_applied_in_order(library: Library) -> None:
    author = _author(library, "Mann")
    calls = [
        f'a: createBook(title: "Joseph", authorId: {author}) {{ write {{ id recordId }} }}',
        f"b: deleteAuthor(authorId: {author}) {{ write {{ id }} }}",
        f'c: createBook(title: "Felix", authorId: {author}) {{ write {{ id }} }}',
    ]
    answers = library.server.query(f"mutation {{ {' '.join(calls)} }}")
    receipts = [library.settled(answers[name]["write"]["id"]) for name in "abc"]
    assert [one["status"] for one in receipts] == ["APPLIED", "APPLIED", "FAILED"]
    assert receipts[2]["error"]["code"] == "REFERENCE_NOT_FOUND"
    assert library.server.query(f"{{ book(bookId: {answers['a']['write']['recordId']}) {{ id }} }}") == {"book": None}


def test_a_deletion_takes_at_most_a_thousand_records_along(library: Library) -> None:
    author = _author(library, "Simenon")
    for start in range(0, 1_001, 500):
        size = min(500, 1_001 - start)
        books = ", ".join(f'{{title: "M {start + n}", authorId: {author}}}' for n in range(size))
        last = library.server.query(f"mutation {{ createBooks(books: [{books}]) {{ writes {{ id }} }} }}")
    assert library.settled(last["createBooks"]["writes"][-1]["id"])["status"] == "APPLIED"
    refused = library.write(f"deleteAuthor(authorId: {author})")
    assert refused["error"]["message"] == (
        f"More than 1,000 records refer to Author {author}, directly or not: delete some first; nothing was changed"
    )
    one, two = (
        book["id"]
        for book in library.server.query(f"{{ books(authorId: {author}, last: 2) {{ nodes {{ id }} }} }}")["books"][
            "nodes"
        ]
    )
    answers = library.server.query(
        f"mutation {{ a: deleteBook(bookId: {one}) {{ success }} b: deleteBook(bookId: {two}) {{ success }} "
        f"c: deleteAuthor(authorId: {author}) {{ write {{ id }} }} }}"
    )
    assert library.settled(answers["c"]["write"]["id"])["status"] == "APPLIED"
    assert library.server.query(f"{{ books(authorId: {author}) {{ totalCount }} }}")["books"]["totalCount"] == 0


def test_a_long_chain_goes_with_its_first_record_and_a_longer_one_stops_nothing(library: Library) -> None:
    for length, status in ((900, "APPLIED"), (1_100, "FAILED")):
        first = int(library.made('createKnot(name: "first")'))
        for start in range(first, first + length, 550):
            size = min(550, first + length - start)
            knots = ", ".join(f'{{name: "k", parentId: {start + number}}}' for number in range(size))
            made = library.query(f"mutation {{ createKnots(knots: [{knots}]) {{ writes {{ id recordId }} }} }}")
        assert made["writes"][-1]["recordId"] == str(first + length)
        assert library.settled(made["writes"][-1]["id"])["status"] == "APPLIED"
        assert library.write(f"deleteKnot(knotId: {first})")["status"] == status
    library.made('createKnot(name: "and the next")')


def test_a_record_that_loses_two_references_at_once_has_one_version_more(library: Library) -> None:
    gone = library.made('createKnot(name: "gone")')
    knot = library.made(f"createKnot(leftId: {gone}, rightId: {gone})")
    assert library.write(f"deleteKnot(knotId: {gone})")["status"] == "APPLIED"
    found = library.query(f"{{ knot(knotId: {knot}) {{ leftId rightId version }} }}")
    assert found == {"leftId": None, "rightId": None, "version": 2}


def test_an_upsert_that_failed_is_decided_anew_when_it_is_queued_again(library: Library) -> None:
    author = library.made('createAuthor(name: "Homer", country: "GR")')
    document = 'mutation { upsertAuthor(name: "Homer", country: "US") { write { id } } }'
    failed = library.query(document)["write"]["id"]
    assert library.settled(failed)["error"]["code"] == "CONSTRAINT_VIOLATED"
    assert library.write(f'updateAuthor(authorId: {author}, name: "Virgil")')["status"] == "APPLIED"
    again = library.write(f"retryWrite(id: {failed})")
    assert (again["status"], again["recordId"] != author) == ("APPLIED", True)
    one, other = (
        library.query(f"{{ author(authorId: {key}) {{ name country }} }}") for key in (author, again["recordId"])
    )
    assert (one, other) == ({"name": "Virgil", "country": "GR"}, {"name": "Homer", "country": "US"})


def test_an_upsert_updates_the_record_with_the_value_or_creates_it(library: Library) -> None:
    first = library.write('upsertAuthor(name: "Borges", country: "AR")')
    assert (first["status"], first["operation"]) == ("APPLIED", "UPSERT")
    again = library.write('upsertAuthor(name: "Borges", prizes: 3)')
    assert again["recordId"] == first["recordId"]
    found = library.server.query(f"{{ author(authorId: {first['recordId']}) {{ name country prizes version }} }}")
    assert found["author"] == {"name": "Borges", "country": "AR", "prizes": 3, "version": 2}
    fixed = library.write('upsertAuthor(name: "Borges", country: "CH")')
    assert fixed["error"]["code"] == "CONSTRAINT_VIOLATED"
    missing = library.server.query('mutation { upsertAuthor(name: "") { success errors { field code } } }')
    assert missing["upsertAuthor"]["success"] is False


def test_upserts_at_once_make_one_record(library: Library) -> None:
    def upsert(number: int) -> str:
        document = f'mutation {{ upsertAuthor(name: "Pessoa", prizes: {number}) {{ write {{ id }} }} }}'
        return str(library.server.query(document)["upsertAuthor"]["write"]["id"])

    with ThreadPoolExecutor(8) as pool:
        writes = list(pool.map(upsert, range(40)))
    receipts = [library.settled(one) for one in writes]
    assert {one["status"] for one in receipts} == {"APPLIED"}
    assert len({one["recordId"] for one in receipts}) == 1
    found = library.server.query(f"{{ author(authorId: {receipts[0]['recordId']}) {{ version }} }}")
    assert found["author"]["version"] == 40


def test_many_are_changed_and_deleted_in_one_request(library: Library) -> None:
    author = _author(library, "Woolf")
    ids = [library.made(f'createBook(title: "B {n}", authorId: {author})') for n in range(3)]
    changes = ", ".join(f'{{bookId: {one}, title: "C {one}", ifVersion: 1}}' for one in ids)
    answer = library.server.query(
        f"mutation {{ updateBooks(books: [{changes}]) {{ success writes {{ id recordId }} }} }}"
    )
    assert [one["recordId"] for one in answer["updateBooks"]["writes"]] == ids
    assert library.settled(answer["updateBooks"]["writes"][-1]["id"])["status"] == "APPLIED"
    gone = library.server.query(
        f"mutation {{ deleteBooks(bookIds: [{', '.join(ids)}]) {{ message writes {{ id }} }} }}"
    )
    assert gone["deleteBooks"]["message"] == "3 books queued for deletion"
    assert library.settled(gone["deleteBooks"]["writes"][-1]["id"])["status"] == "APPLIED"
    assert library.server.query(f"{{ books(authorId: {author}) {{ totalCount }} }}")["books"]["totalCount"] == 0


@pytest.mark.parametrize("policy", ["", ", onError: REFUSE_ALL", ", onError: null"])
def test_one_wrong_item_refuses_all_unless_the_valid_ones_are_asked_for(library: Library, policy: str) -> None:
    author = _author(library, f"Wrong {policy}")
    book = library.made(f'createBook(title: "Whole", authorId: {author})')
    changes = f'[{{bookId: {book}, title: "changed"}}, {{bookId: {book}}}, {{bookId: {book}, title: ""}}]'
    document = "mutation {{ updateBooks(books: {}{}) {{ success message errors {{ field code }} writes {{ id }} }} }}"
    refused = library.server.query(document.format(changes, policy))["updateBooks"]
    assert (refused["success"], refused["writes"]) == (False, [])
    problems = [
        {"field": ["books", "1"], "code": "NOTHING_TO_CHANGE"},
        {"field": ["books", "2", "title"], "code": "REQUIRED"},
    ]
    assert refused["errors"] == problems
    taken = library.server.query(document.format(changes, ", onError: ACCEPT_VALID"))["updateBooks"]
    assert (taken["success"], taken["errors"], taken["message"]) == (True, problems, "1 book queued for update")
    assert library.settled(taken["writes"][0]["id"])["status"] == "APPLIED"
    wrong = 'deleteBooks(bookIds: ["x"], onError: ACCEPT_VALID)'
    none = library.query(f"mutation {{ {wrong} {{ success errors {{ field code }} writes {{ id }} }} }}")
    assert none == {"success": False, "errors": [{"field": ["bookIds", "0"], "code": "INVALID_ID"}], "writes": []}


def test_tasks_of_an_operation_are_made_when_it_is_applied_and_never_when_it_failed(library: Library) -> None:
    author = _author(library, "Lem")
    book = library.made(f'createBook(title: "Solaris", authorId: {author})')
    loan = library.made(f'createLoan(bookId: {book}, reader: "Kris")')
    applied = [library.write(f"remindLoan(loanId: {loan}, times: 2)"), library.write(f"remindLoan(loanId: {loan})")]
    assert [one["status"] for one in applied] == ["APPLIED", "APPLIED"]
    assert library.write(f"remindLoan(loanId: {loan}, times: 3)")["error"]["code"] == "ENOUGH_REMINDERS"
    unknown = library.write(f'misremindLoan(loanId: {loan}, kind: "enty")')
    assert unknown["error"]["code"] == "OPERATION_FAILED"
    assert "made a task that is refused: Unknown task type 'enty'" in unknown["error"]["message"]
    wrong = library.write(f'misremindLoan(loanId: {loan}, kind: "entry")')
    assert "payload.title: 'title' is a required property" in wrong["error"]["message"]
    titles = wait_until(lambda: _completed(library, loan, 3))
    assert titles == [f"{loan}: 1", f"{loan}: 2", f"{loan}: 3"]
    assert library.server.query(f"{{ loan(loanId: {loan}) {{ reminders }} }}")["loan"]["reminders"] == 3


@pytest.mark.one_database("counts statements, which are the same")
def test_a_page_of_records_and_what_they_refer_to_are_two_queries(tmp_path: Path) -> None:
    process = Process(Settings(data_dir=tmp_path), application.resources, "server", drains=True)
    process.start()
    try:
        context = process.context()
        author = requests.create(context.queue, process.resources["Author"], {"name": "Anon"}, None, None)
        books = [{"title": f"{n}", "author_id": author.record_id} for n in range(50)]
        made = requests.create_many(context.queue, process.resources["Book"], books, None, None)
        assert requests.settled(context.queue, made.writes[-1], 30) is not None
        assert _statements(process, "{ books { nodes { title author { name } whole { title } } } }") == 2
        # The page itself is read at the driver, past the engine.
        assert _statements(process, "{ allBooks { author { name } } }") == 1
        assert _statements(process, "{ books { nodes { title } } }") == 1
    finally:
        process.stop()


def _statements(process: Process, document: str) -> int:
    """How many statements a query runs."""
    seen: list[str] = []

    def note(*given: Any) -> None:
        seen.append(given[2])

    engine = process.records["Book"]._engine
    event.listen(engine, "before_cursor_execute", note)
    answer = graphql_sync(application.schema, document, context_value=process.context())
    event.remove(engine, "before_cursor_execute", note)
    assert answer.errors is None, answer.errors
    return len(seen)


def _completed(library: Library, loan: str, count: int) -> list[str] | None:
    entries = library.server.query(f'{{ entries(first: 50, search: "{loan}: ") {{ nodes {{ title status }} }} }}')
    found = [one for one in entries["entries"]["nodes"] if one["title"].startswith(f"{loan}: ")]
    assert len(found) <= count
    done = sorted(one["title"] for one in found if one["status"] == "COMPLETED")
    return done if len(done) == count else None
