"""The outbox of operations: a task is made with its write, once, though the process dies between two databases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from library_app import application
from server_process import ServerProcess, wait_until
from write_load import PARCELS_PATH

from afterwrite.service.service import Service
from afterwrite.storage.outbox import MadeTasks
from afterwrite.tasks.task import NewTask

if TYPE_CHECKING:
    from databases import Database

MakeServer = Callable[..., ServerProcess]
SETUP = """mutation {
  createAuthor(name: "Lem") { success } createBook(title: "Solaris", authorId: 1) { success }
  createLoan(bookId: 1, reader: "Kris") { success }
}"""


def _library(make_server: MakeServer) -> ServerProcess:
    server = make_server(PYTHONPATH=PARCELS_PATH, STAGE_SECONDS="0")
    server.program = ("tests/support/library_app.py",)
    server.start().query(SETUP)
    return server


def _remind(server: ServerProcess) -> str:
    answer = server.query("mutation { remindLoanSync(loanId: 1, times: 2) { success write { id } } }")["remindLoanSync"]
    assert answer["success"]
    return f"write {answer['write']['id']}"


def _entries(server: ServerProcess) -> list[Any]:
    return server.database.rows("SELECT correlation_id, created_by FROM tasks ORDER BY id")


def test_tasks_of_a_write_are_made_after_a_kill_before_the_task_database_had_them(make_server: MakeServer) -> None:
    server = _library(make_server)
    with server.database.held():  # nothing can be added to the tasks meanwhile
        name = _remind(server)
        server.kill()  # PostgreSQL may still do what it was asked for, and the relay of the next start must know
    server.start()
    assert wait_until(lambda: _entries(server)) == [(name, None)] * 2
    again = _remind(server)
    wait_until(lambda: len(_entries(server)) == 4)
    server.kill()  # before another write dropped what was relayed
    server.start()
    third = "mutation { remindLoanSync(loanId: 1) { success write { id } } }"
    last = f"write {server.query(third)['remindLoanSync']['write']['id']}"
    wait_until(lambda: len(_entries(server)) == 5)
    assert _entries(server) == [(name, None)] * 2 + [(again, None)] * 2 + [(last, None)]


def test_relays_at_once_add_what_a_write_made_once(database: "Database") -> None:
    service = Service(database.settings(), application.resources)
    tasks = service._runtime
    made = [
        MadeTasks(write, [tasks.registry.prepare(NewTask("entry", {"title": f"{write}.{n}"})) for n in range(3)])
        for write in (5, 9, 12)
    ]
    try:
        with ThreadPoolExecutor(4) as pool:
            through = list(pool.map(tasks.store.relay, [made[:1], made[:2], made] * 5))
        assert (max(through), tasks.store.relayed_through()) == (12, 12)
    finally:
        service.stores.close()
    [(count, titles)] = database.rows("SELECT count(*), count(DISTINCT payload_json) FROM tasks")
    assert (count, titles) == (9, 9)
