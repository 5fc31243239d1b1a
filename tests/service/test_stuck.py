"""Background work that ends or is blocked: health says so, nothing accepted is lost, and a stop does not hang."""

import time
from collections.abc import Callable

import pytest
from product_calls import create, stored_titles, wait_applied
from server_process import ROOT, ServerProcess, wait_until
from task_calls import execute, rest

HARMFUL = {"WORKER_MODULES": "stuck_workers", "PYTHONPATH": str(ROOT / "tests" / "support")}
STOP_SECONDS = 30
DRAIN = "WriteQueue._drain"

# What a task does to its process, and what an operator reads then.
HARMS = {
    "end the loop": "The background loop has ended",
    "block the loop": "Something has blocked the background loop for ",
    DRAIN: "The drain of accepted writes has ended (it was cancelled)",
    "WorkerManager._turns": "The coroutine that claims and records tasks has ended (it was cancelled)",
    "RecentFigures.watch": "Sampling figures for charts has ended (it was cancelled)",
}


def harm(server: ServerProcess, what: str) -> None:
    """Let a task do that to the server, and wait until it says that it is not ready."""
    made = execute(
        server, 'mutation ($p: JSON!) { createTask(type: "harm", payload: $p) { id } }', {"p": {"what": what}}
    )
    assert "errors" not in made, made
    wait_until(lambda: not server.ready())


@pytest.mark.parametrize("what", HARMS)
def test_health_says_that_the_background_does_not_run_and_a_stop_does_not_wait_for_it(
    make_server: Callable[..., ServerProcess], what: str
) -> None:
    server = make_server(**HARMFUL).start()
    harm(server, what)
    answer = rest(server, "GET", "/ready")
    assert (answer.status, answer.body["ready"]) == (503, False)
    assert "background" in answer.body["reason"]
    answer = rest(server, "GET", "/health")
    told = answer.body
    assert answer.status == 503  # for what restarts it: a container, a pod
    assert told["status"] == told["database"]["status"] == told["tasks"]["status"] == "degraded"
    assert told["database"]["trouble"].startswith(HARMS[what])
    assert "restart the process" in told["database"]["trouble"]
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < STOP_SECONDS


@pytest.mark.parametrize("what", ["end the loop", DRAIN])
def test_what_is_accepted_while_nothing_is_applied_is_applied_after_a_restart(
    make_server: Callable[..., ServerProcess], what: str
) -> None:
    server = make_server(**HARMFUL).start()
    harm(server, what)
    for number in range(3):
        assert create(server, f"product {number}")["success"]
    assert server.stop() == 0
    server.environment.pop("WORKER_MODULES")
    server.start()
    wait_applied(server)
    assert stored_titles(server) == ["product 0", "product 1", "product 2"]
