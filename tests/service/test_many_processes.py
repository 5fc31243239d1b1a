"""Many processes on one PostgreSQL keep one installation's promises, whichever of them is asked."""

import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from console_client import ConsoleClient
from faked_clock import clock_set
from kill_workers import Notebook
from many_processes import KILL_WORKERS, Fleet, health, new_database
from postgres_server import require_postgres
from server_process import ServerProcess, wait_until
from task_calls import Stream, create, find, rest, wait_ended

from afterwrite.access.keys import hash_of
from afterwrite.base.settings import from_environment
from afterwrite.storage.postgres import migrations
from afterwrite.storage.postgres.address import address_of

CREATE = 'mutation { createProduct(title: "Lamp", price: 1) { success write { id productId } errors { code } } }'
VERSIONS = "SELECT version FROM afterwrite.schema_versions ORDER BY version"


def accept(server: ServerProcess) -> dict[str, Any]:
    """A create that must be accepted; its receipt."""
    answer = server.query(CREATE)["createProduct"]
    assert answer["success"], answer
    receipt: dict[str, Any] = answer["write"]
    return receipt


def _after(write: dict[str, Any]) -> str:
    """Asks for the product of a write when that is settled."""
    return f'{{ product(productId: "{write["productId"]}", afterWrite: "{write["id"]}") {{ title }} }}'


def test_several_servers_may_start_at_once_on_an_empty_database(fleet: Fleet) -> None:
    servers = [fleet.server() for _ in range(4)]
    with ThreadPoolExecutor(len(servers)) as pool:
        list(pool.map(lambda server: server.start(), servers))
    assert fleet.rows(VERSIONS) == [(number,) for number in range(1, migrations.newest_version() + 1)]
    accept(servers[3])
    wait_until(lambda: servers[0].query("{ allProducts { title } }")["allProducts"] == [{"title": "Lamp"}])


def test_a_database_of_a_newer_program_stops_the_start_with_a_clear_line(fleet: Fleet) -> None:
    fleet.server().start().stop()
    with fleet.connection() as connection:
        connection.execute("INSERT INTO afterwrite.schema_versions (version) VALUES (999)")
    for process in (fleet.server(), fleet.worker()):
        started = process.launch(keep_errors=True)
        _out, said = started.communicate(timeout=30)
        assert started.returncode == 1
        assert (
            f"has schema version 999, this program knows {migrations.newest_version()}: start a newer version" in said
        )
        process.process = None


def test_a_database_of_an_older_program_is_brought_up_to_date(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = migrations._steps()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "_steps", lambda: steps[:1])
        migrations.migrate(address_of(from_environment({"DATABASE_URL": fleet.url})))
    accept(fleet.server().start())
    assert fleet.rows(VERSIONS) == [(number,) for number in range(1, len(steps) + 1)]
    [(settings,)] = fleet.rows("SELECT proconfig FROM pg_proc WHERE proname = 'accept_writes'")
    assert settings == ["lock_timeout=15s"]


def test_waits_hear_of_writes_that_another_process_applies(fleet: Fleet) -> None:
    servers = [fleet.server().start() for _ in range(3)]
    accept(servers[0])
    drainer = wait_until(fleet.drainer)
    others = [server for server in servers if server is not drainer]
    for server in others:
        document = 'mutation { createProductSync(title: "Desk", price: 2) { success product { title } } }'
        answer = server.query(document)["createProductSync"]
        assert answer == {"success": True, "product": {"title": "Desk"}}
    write = accept(others[0])
    assert others[1].query(_after(write)) == {"product": {"title": "Lamp"}}
    with fleet.no_drain():
        waiting = accept(drainer)
        subscription = f'subscription {{ writeSettled(id: "{waiting["id"]}") {{ status }} }}'
        stream = Stream(others[0], subscription)
    with stream:
        assert [event["data"]["writeSettled"]["status"] for event in stream] == ["APPLIED"]


def test_a_receipt_is_the_same_whichever_process_is_asked(fleet: Fleet) -> None:
    first, second = fleet.server().start(), fleet.server().start()
    keyed = CREATE.replace("price: 1", 'price: 1, idempotencyKey: "k"')
    assert first.query(keyed) == second.query(keyed)
    reused = second.query(keyed.replace("Lamp", "Desk"))["createProduct"]
    assert [error["code"] for error in reused["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    wait_until(lambda: second.query("{ queue { depth appliedTotal } }")["queue"] == {"depth": 0, "appliedTotal": 1})


def test_the_queue_is_full_for_every_process_at_the_same_number(fleet: Fleet) -> None:
    servers = [fleet.server(QUEUE_MAX_WRITES="20").start() for _ in range(2)]
    accept(servers[0])
    wait_until(lambda: servers[1].query("{ queue { depth } }")["queue"]["depth"] == 0)
    with fleet.no_drain():
        for number in range(20):
            accept(servers[number % 2])
        for server in servers:
            answer = server.query(CREATE)["createProduct"]
            assert [error["code"] for error in answer["errors"]] == ["QUEUE_FULL"]
            assert server.query("{ queue { depth state } }")["queue"] == {"depth": 20, "state": "FULL"}
    wait_until(lambda: servers[0].query("{ queue { depth } }")["queue"]["depth"] == 0)
    accept(servers[1])


@pytest.mark.parametrize("ending", ["killed", "stopped"])
def test_another_process_drains_when_the_one_that_did_ends(fleet: Fleet, ending: str) -> None:
    servers = [fleet.server().start() for _ in range(3)]
    accept(servers[0])
    drainer = wait_until(fleet.drainer)
    left = [server for server in servers if server is not drainer]
    if ending == "killed":
        drainer.kill()
    else:
        assert drainer.stop() == 0
    write = accept(left[0])
    assert left[1].query(_after(write)) == {"product": {"title": "Lamp"}}
    assert fleet.drainer() in left


def test_a_drainer_that_stood_still_changes_nothing_when_it_goes_on(fleet: Fleet) -> None:
    servers = [fleet.server().start() for _ in range(2)]
    accept(servers[0])
    stalled = wait_until(fleet.drainer)
    [other] = [server for server in servers if server is not stalled]
    assert stalled.process is not None
    os.killpg(stalled.process.pid, signal.SIGSTOP)
    writes = [accept(other) for _ in range(5)]
    wait_until(lambda: other.query("{ queue { depth } }")["queue"]["depth"] == 0)
    os.killpg(stalled.process.pid, signal.SIGCONT)
    writes += [accept(stalled) for _ in range(5)]
    wait_until(lambda: stalled.query("{ queue { depth } }")["queue"]["depth"] == 0)
    settled = [row[0] for row in fleet.rows("SELECT id FROM afterwrite.ledger ORDER BY settled_at_us, id")]
    assert settled[-10:] == [int(write["id"]) for write in writes]


def test_tasks_are_run_by_workers_and_watched_from_a_server(fleet: Fleet) -> None:
    server = fleet.server(RUN_WORKERS="off").start()
    fleet.worker("--types", "entry", "--concurrency", "2").start()
    entry = server.query('mutation { createEntry(title: "Hello") { id } }')["createEntry"]["id"]
    with Stream(server, f'subscription {{ taskUpdated(id: "{entry}") {{ status progress }} }}') as stream:
        seen = [event["data"]["taskUpdated"] for event in stream]
    assert seen[-1] == {"status": "COMPLETED", "progress": 100}
    other = create(server, "process_products", {"products": [{"title": "Lamp", "price": 1}]})["id"]
    assert find(server, other)["status"] == "PENDING"  # nobody runs this type
    fleet.worker("--types", "process_products").start()
    assert wait_ended(server, other) == "COMPLETED"


def test_a_cancel_and_a_pause_reach_the_worker_that_has_the_task(fleet: Fleet) -> None:
    server = fleet.server(RUN_WORKERS="off").start()
    fleet.worker(STAGE_SECONDS="60").start()
    entry = server.query('mutation { createEntry(title: "Hello") { id } }')["createEntry"]["id"]
    wait_until(lambda: find(server, entry)["status"] == "PROCESSING")
    server.query(f'mutation {{ cancelTask(id: "{entry}") {{ id }} }}')
    assert wait_ended(server, entry) == "CANCELLED"
    server.query('mutation { pauseTaskType(type: "entry") { paused } }')
    paused = server.query('mutation { createEntry(title: "Later") { id } }')["createEntry"]["id"]
    assert find(server, paused)["status"] == "PENDING"
    server.query('mutation { resumeTaskType(type: "entry") { paused } }')
    wait_until(lambda: find(server, paused)["status"] == "PROCESSING")


def test_the_tasks_of_a_worker_that_was_killed_are_taken_over(fleet: Fleet, tmp_path: Path) -> None:
    server = fleet.server(RUN_WORKERS="off", **KILL_WORKERS).start()
    first = fleet.worker(**KILL_WORKERS).start()
    tasks = [create(server, "recorded", {})["id"] for _ in range(8)]
    wait_until(lambda: Notebook(first.data_dir / "notebook.jsonl").read())
    first.kill()
    fleet.worker(**KILL_WORKERS).start()
    assert {wait_ended(server, task) for task in tasks} == {"COMPLETED"}


def test_health_and_metrics_tell_of_every_process(fleet: Fleet) -> None:
    server, worker = fleet.server(RUN_WORKERS="off").start(), fleet.worker().start()
    fleet.server().start()
    accept(server)
    roles = wait_until(lambda: len(found := health(server)["processes"]) == 3 and found)
    assert sorted(one["role"] for one in roles) == ["server", "server", "worker"]
    assert sum(bool(one["doing"].get("drains")) for one in wait_until(lambda: _one_drains(server))) == 1
    for process in (server, worker):
        text = process.get("/metrics")[1].decode()
        samples = [line for line in text.splitlines() if line and not line.startswith("#")]
        names = {line.partition('process="')[2].partition('"')[0] for line in samples}
        assert len(names) == 1
        assert names <= {one["name"] for one in roles}
    assert worker.stop() == 0
    assert [one["role"] for one in health(server)["processes"]] == ["server", "server"]


def test_a_browser_is_signed_in_and_out_everywhere(fleet: Fleet) -> None:
    """Behind a proxy a browser sees one host, and its requests go to one process or another."""
    keys = f"ann:admin:{hash_of('a secret of ann')}"
    servers = [fleet.server(API_KEYS=keys).start() for _ in range(2)]
    first, second = ConsoleClient(servers[0]), ConsoleClient(servers[1])
    with first.http, second.http:
        for browser in (first, second):
            browser.http.headers["Host"] = "shop.test"
        assert first.sign_in("a secret of ann").status_code == 303
        second.http.cookies = first.http.cookies
        assert second.get("/").status_code == 200
        kept = {"Cookie": "; ".join(f"{name}={value}" for name, value in first.http.cookies.items())}
        assert second.post("/sign-out").status_code == 303
        wait_until(lambda: first.http.get("/", headers=kept).status_code != 200)


def test_the_secrets_and_the_charts_are_those_of_all_processes(fleet: Fleet) -> None:
    servers = [fleet.server(WEBHOOK_ALLOW_PRIVATE="on").start() for _ in range(2)]
    accept(servers[0])
    drainer = wait_until(fleet.drainer)
    [other] = [server for server in servers if server is not drainer]
    body = {"payload": {"products": [{"title": "Lamp", "price": 1}]}, "callback_url": f"{other.url}/webhook"}
    assert rest(drainer, "POST", "/api/process", body).status == 202
    received = wait_until(lambda: rest(drainer, "GET", "/webhook").body["received"])
    assert [one["verdict"] for one in received] == ["valid"]
    chart = 'aria-label="Writes over the last five minutes, max 0"'
    console = ConsoleClient(other)
    with console.http:
        wait_until(lambda: "over the last five minutes" in (text := console.get("/").text) and chart not in text)


def _one_drains(server: ServerProcess) -> Any:
    processes = health(server)["processes"]
    return sum(bool(one["doing"].get("drains")) for one in processes) == 1 and processes


def test_without_notifications_all_still_happens_only_later(tmp_path: Path) -> None:
    """Sessions find a pg_notify that does nothing before the real one."""
    require_postgres()
    with new_database({"search_path": "public, pg_catalog"}) as url:
        fleet = Fleet(tmp_path, url)
        with contextlib.closing(_Closing(fleet)), fleet.connection() as connection:
            connection.execute("CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS ''")
            servers = [fleet.server(RUN_WORKERS="off").start() for _ in range(2)]
            fleet.worker().start()
            for server in servers:
                document = 'mutation { createProductSync(title: "Desk", price: 2) { success } }'
                assert server.query(document)["createProductSync"]["success"]
            entry = servers[0].query('mutation { createEntry(title: "Hello") { id } }')["createEntry"]["id"]
            with Stream(servers[1], f'subscription {{ taskUpdated(id: "{entry}") {{ status }} }}') as stream:
                seen = [event["data"]["taskUpdated"]["status"] for event in stream]
            assert seen[-1] == "COMPLETED"
            assert "notifications do not come through" in servers[0].log


class _Closing:
    def __init__(self, fleet: Fleet) -> None:
        self.close = fleet.kill_all


@pytest.mark.parametrize("offset", ["+5m", "-5m"])
def test_a_process_whose_clock_is_five_minutes_off_takes_no_lock_early(fleet: Fleet, offset: str) -> None:
    """Its lock seconds are four: by its own clock every lock of the others has expired, or never will."""
    skewed = clock_set(offset)
    server = fleet.server(RUN_WORKERS="off").start()
    right = fleet.worker("--concurrency", "1", STAGE_SECONDS="6").start()
    entry = server.query('mutation { createEntry(title: "Hello") { id } }')["createEntry"]["id"]
    wait_until(lambda: find(server, entry)["status"] == "PROCESSING")
    fleet.worker(**skewed, STAGE_SECONDS="6").start()
    holder = find(server, entry, "lockedBy attempt")
    wait_until(lambda: find(server, entry, "stage")["stage"] == "STAGE_2", 60)
    assert holder["attempt"] == 1
    assert find(server, entry, "attempt")["attempt"] <= 1
    assert "the lock was lost" not in right.log
    scheduled = _in_three_seconds(server)
    assert wait_ended(server, scheduled) == "COMPLETED"


def _in_three_seconds(server: ServerProcess) -> str:
    at = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    products = {"products": [{"title": "Lamp", "price": 1}]}
    return str(create(server, "process_products", products, runAt=at)["id"])
