"""Stops the server in the middle of its work: it drains, answers what is in flight, loses nothing."""

import contextlib
import ctypes
import http.client
import os
import random
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from product_calls import create, create_many, health, stored_titles, wait_applied, wait_held_up, waiting_titles
from promises_kept import check_promises
from server_process import ROOT, ServerProcess, process_group, wait_until
from write_load import load, open_shop

MakeServer = Callable[..., ServerProcess]
SERVERS = pytest.mark.parametrize("kind", ["granian", "gunicorn"])
GRANIAN = str(Path(sysconfig.get_path("scripts"), "granian"))
CLIENTS = 8
STOPS = 4
SEED = 7
_TAKEN_BY_A_THREAD = """
import signal, threading
from afterwrite.server import serving
stop = threading.Event()
serving.wake_main_thread_on_signals()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
take = lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
threading.Timer(0.2, take).start()
stop.wait()
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends SIGTERM")
_SYNC = """mutation { createProductSync(title: "in flight", price: 1) {
  success product { title } write { status } errors { code } } }"""


@SERVERS
def test_a_stop_applies_all_that_was_accepted_before_it_ends(make_server: MakeServer, kind: str) -> None:
    server = make_server(SERVER=kind).start()
    for number in range(10):
        assert create_many(server, [f"product {number} {item}" for item in range(1_000)])["success"]
    assert server.stop() == 0
    assert len(stored_titles(server)) == 10_000
    assert waiting_titles(server) == []
    assert "drained" in server.log


@SERVERS
def test_a_stop_with_a_locked_database_leaves_the_writes_to_the_next_start(make_server: MakeServer, kind: str) -> None:
    server = make_server(SERVER=kind, STOP_SECONDS="1").start()
    with server.database.no_drain():
        assert create(server, "waits")["success"]
        wait_held_up(server)
        started = time.monotonic()
        assert server.stop() == 0
        took = time.monotonic() - started
        assert waiting_titles(server) == ["waits"]
        assert stored_titles(server) == []
    assert 1 <= took < 15
    assert "left in the journal for the next start: 1 write" in server.log
    server.start()
    wait_applied(server)
    assert stored_titles(server) == ["waits"]


@SERVERS
def test_a_connection_that_says_nothing_holds_up_no_stop(make_server: MakeServer, kind: str) -> None:
    server = make_server(SERVER=kind).start()
    with socket.create_connection(("127.0.0.1", server.port)) as silent:  # as browsers open them in advance
        assert select.select([silent], [], [], 1.5) == ([], [], [])  # it is waited for
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 15


@SERVERS
def test_a_request_that_waits_for_its_write_is_answered_during_a_stop(make_server: MakeServer, kind: str) -> None:
    server = make_server(SERVER=kind, WAIT_SECONDS="30").start()
    with ThreadPoolExecutor(1) as pool:
        with server.database.no_drain():
            answer = pool.submit(server.query, _SYNC)
            wait_until(lambda: health(server)["queue"]["depth"] == 1)
            assert server.process is not None
            server.process.terminate()
            wait_until(lambda: _is_stopping(server))
            assert not answer.done()
        assert answer.result(30)["createProductSync"] == {
            "success": True,
            "product": {"title": "in flight"},
            "write": {"status": "APPLIED"},
            "errors": [],
        }
    assert server.ended() == 0
    assert stored_titles(server) == ["in flight"]


@SERVERS
def test_writes_in_the_moment_of_a_stop_are_applied_or_refused(make_server: MakeServer, kind: str) -> None:
    chance = random.Random(f"{SEED} {kind}")
    server = make_server(SERVER=kind)
    shop = open_shop(CLIENTS, SEED)
    for _ in range(STOPS):
        server.start()
        with load(server, shop, chance.randint(50, 300)):
            assert server.stop() == 0
        check_promises(server, shop)
    refusals = {write.refused for keeper in shop for write in keeper.sent}
    assert refusals <= {None, "SHUTTING_DOWN"}


@SERVERS
def test_an_open_stream_ends_at_a_stop_and_holds_up_nothing(make_server: MakeServer, kind: str) -> None:
    server = make_server(SERVER=kind, STOP_SECONDS="1").start()
    with server.database.no_drain(), contextlib.closing(server.client()) as client:
        write = server.query('mutation { createProduct(title: "waits", price: 1) { write { id } } }')
        path = f"/graphql?query=subscription{{writeSettled(id:{write['createProduct']['write']['id']}){{id}}}}"
        client.connection.request("GET", path, headers={"Accept": "text/event-stream"})
        stream = client.connection.getresponse()
        assert server.stop() == 0
        assert b"SHUTTING_DOWN" in stream.read()
    assert "left in the journal for the next start: 1 write" in server.log


def test_the_waits_of_one_request_do_not_add_up(make_server: MakeServer) -> None:
    server = make_server(WAIT_SECONDS="1").start()
    many = " ".join(f'w{at}: createProductSync(title: "{at}", price: 1) {{ errors {{ code }} }}' for at in range(20))
    with server.database.no_drain():
        started = time.monotonic()
        answers = server.query(f"mutation {{ {many} }}")
        took = time.monotonic() - started
    assert {answer["errors"][0]["code"] for answer in answers.values()} == {"WRITE_PENDING"}
    assert took < 10  # and not 20


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@SERVERS
def test_a_stop_is_heard_while_the_process_that_serves_begins(make_server: MakeServer, kind: str) -> None:
    server = make_server(SERVER=kind)
    process = server.launch()
    wait_until(lambda: len(process_group(process.pid)) > 1)  # there, and loading the application
    assert server.stop(timeout=20) == 0


_FORKED = """
import importlib.util, os, queue, signal, sys
spec = importlib.util.spec_from_file_location("conf", "gunicorn.conf.py")
conf = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conf)
class Arbiter: SIG_QUEUE = queue.SimpleQueue()
class Worker: alive = True
if sys.argv[1] == "before":
    Arbiter.SIG_QUEUE.put_nowait(signal.SIGTERM)
if pid := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
conf.post_fork(Arbiter, Worker)
if sys.argv[1] == "after":
    os.kill(os.getpid(), signal.SIGTERM)
os._exit(7 if Worker.alive else 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run there")
@pytest.mark.parametrize(("when", "code"), [("before", 0), ("after", 0), ("never", 7)])
def test_a_stop_is_heard_by_a_process_that_was_forked_just_now(when: str, code: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FORKED, when]
    environment = os.environ | {"DATA_DIR": str(tmp_path)}
    assert subprocess.run(command, cwd=ROOT, env=environment, timeout=30, check=False).returncode == code


def test_a_signal_that_the_system_gives_to_another_thread_wakes_the_main_thread() -> None:
    done = subprocess.run([sys.executable, "-c", _TAKEN_BY_A_THREAD], cwd=ROOT, timeout=30, check=False)
    assert done.returncode == 0


@pytest.mark.one_database("whether a signal is noticed")
@pytest.mark.skipif(sys.platform != "linux", reason="/proc lists the threads")
@pytest.mark.parametrize("program", [("app.py",), (GRANIAN, "--interface", "wsgi", "--factory", "app:wsgi")])
def test_a_signal_that_another_thread_of_the_worker_takes_ends_it(make_server: MakeServer, program: list[str]) -> None:
    server = make_server()
    server.program, server.environment["GRANIAN_PORT"] = tuple(program), str(server.port)
    server.start()
    assert server.process is not None
    main = server.process.pid
    (worker,) = (pid for pid in process_group(main) if pid != main)
    (thread, *_) = (int(task.name) for task in Path(f"/proc/{worker}/task").iterdir() if task.name != str(worker))
    assert ctypes.CDLL(None).tgkill(worker, thread, signal.SIGTERM) == 0
    wait_until(lambda: worker not in process_group(main))


def _is_stopping(server: ServerProcess) -> bool:
    """Whether a new request is refused, or left alone for half a second."""
    with contextlib.closing(server.client()) as client:
        client.connection.timeout = 0.5
        try:
            return client.request("GET", "/ready")[0] == 503
        except (OSError, http.client.HTTPException):
            return True
