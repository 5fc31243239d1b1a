"""Writes over REST that cannot be applied or accepted now: the receipt at once, and nothing said that is not so."""

import sys
from collections.abc import Callable

import pytest
from other_process import write_lock
from server_process import ServerProcess, wait_until
from task_calls import problem, rest

pytestmark = [
    pytest.mark.one_database("PostgreSQL lets who writes wait for a lock"),
    pytest.mark.skipif(sys.platform == "win32", reason="the lock is taken by another process of POSIX"),
]
LAMP = {"title": "Lamp", "price": 1}


def test_a_write_that_is_not_applied_in_time_is_answered_with_its_receipt(
    make_server: Callable[..., ServerProcess],
) -> None:
    server = make_server(WAIT_SECONDS="1").start()
    with write_lock(server.data_dir / "products.db"):
        answer = rest(server, "POST", "/api/products", LAMP, Prefer="wait=60")
        assert (answer.status, answer.body["status"]) == (202, "QUEUED")
        assert "Preference-Applied" not in answer.headers
        path = f"{answer.body['record']}?afterWrite={answer.body['id']}"
        for place in (path, f"/api/products?afterWrite={answer.body['id']}"):
            pending = rest(server, "GET", place)
            assert "nothing is lost" in problem(pending, 503, "WRITE_PENDING")["detail"]
            assert int(pending.headers["Retry-After"]) > 0
        assert rest(server, "GET", "/api/products").body == {"products": []}
    found = wait_until(lambda: (found := rest(server, "GET", path)).status == 200 and found)
    assert found.body["title"] == "Lamp"
    assert rest(server, "GET", answer.headers["Location"]).body["status"] == "APPLIED"


def test_a_full_queue_is_said_and_the_request_may_be_sent_again(make_server: Callable[..., ServerProcess]) -> None:
    server = make_server(QUEUE_MAX_WRITES="1").start()
    with write_lock(server.data_dir / "products.db"):
        assert rest(server, "POST", "/api/products", LAMP).status == 202
        refused = rest(server, "POST", "/api/products", LAMP, Prefer="wait=60")
        problem(refused, 503, "QUEUE_FULL")
        assert int(refused.headers["Retry-After"]) > 0
    wait_until(lambda: rest(server, "POST", "/api/products", LAMP, Prefer="wait=60").status == 201)
    assert len(rest(server, "GET", "/api/products").body["products"]) == 2
