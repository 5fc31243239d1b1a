"""Kills the real server under load, again and again, and then counts what it acknowledged."""

import contextlib
import os
import random
import signal
import sys
import threading
from collections.abc import Callable

import pytest
from promises_kept import check_promises
from server_process import ServerProcess, wait_until, watched
from write_load import PARCELS, PARCELS_APP, PARCELS_PATH, PRODUCTS, load, open_shop

MakeServer = Callable[..., ServerProcess]
SERVERS = ("granian", "gunicorn")
CLIENTS = 8
ROUNDS = {"granian": 20, "gunicorn": 8}
SEED = 20250206

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc"),
    pytest.mark.one_database("PostgreSQL has test_chaos"),
]


@pytest.mark.parametrize("kind", SERVERS)
def test_kills_under_load_lose_nothing_and_double_nothing(make_server: MakeServer, kind: str) -> None:
    chance = random.Random(f"{SEED} {kind}")
    server = make_server(SERVER=kind, PYTHONPATH=PARCELS_PATH)
    server.program = PARCELS_APP
    shop = open_shop(CLIENTS, SEED, kinds=(PRODUCTS, PARCELS))
    for number in range(ROUNDS[kind]):
        server.start()
        with contextlib.ExitStack() as backlog:
            if number % 4 == 3:  # lets a backlog grow, so that the kill comes in the middle of the drain
                backlog.enter_context(server.database.no_drain())
            with load(server, shop, chance.randint(100, 1_600)):
                backlog.close()
                _a_moment(chance.uniform(0, 0.05))
                server.kill()
        if number % 4 == 3:
            _kill_in_the_replay(server, chance)
    server.start()
    for keeper in shop:
        with contextlib.closing(server.client()) as client:
            keeper.catch_up(client)
    assert server.stop() == 0
    acknowledged = check_promises(server, shop)
    assert acknowledged > ROUNDS[kind] * 100


@pytest.mark.parametrize("kind", SERVERS)
def test_a_killed_worker_is_replaced_and_nothing_is_lost(make_server: MakeServer, kind: str) -> None:
    server = make_server(SERVER=kind).start()
    shop = open_shop(CLIENTS, SEED)
    worker = server.worker()
    with load(server, shop, 300):
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: server.worker() not in (0, worker))
    wait_until(server.ready)
    if kind == "granian":  # gunicorn says so on standard error
        told = f"ERROR afterwrite.server: the serving process {worker} ended by signal 9: starting it again\n"
        assert server.log.count(told) == 1
    with load(server, shop, 300):
        assert server.stop() == 0
    assert check_promises(server, shop) >= 600


@pytest.mark.parametrize("kind", SERVERS)
def test_a_worker_whose_main_process_was_killed_ends_and_lets_go_of_the_journal(
    make_server: MakeServer, kind: str
) -> None:
    server = make_server(SERVER=kind).start()
    shop = open_shop(CLIENTS, SEED)
    worker = server.worker()
    assert server.process is not None
    assert worker != server.process.pid
    with watched([worker]) as ended, load(server, shop, 300):
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        ended(30)
    server.start()
    with load(server, shop, 300):
        assert server.stop() == 0
    assert check_promises(server, shop) >= 600


def _kill_in_the_replay(server: ServerProcess, chance: random.Random) -> None:
    replays = server.log.count("replaying")
    server.launch()
    wait_until(lambda: server.log.count("replaying") > replays or server.ready())
    _a_moment(chance.uniform(0, 0.03))
    server.kill()


def _a_moment(seconds: float) -> None:
    """Let any moment of what happens be hit: a wait for nothing."""
    threading.Event().wait(seconds)
