"""Kills the real server between Stripe's charge and its own record: nobody is charged twice."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from server_process import ServerProcess, wait_until
from stripe_fake import KEY, IdempotentFront, LocalStripe

PAY = """mutation($customer: String!, $amount: Int!) {
  createStripePaymentTask(amount: $amount, currency: "eur", customerId: $customer) { id status } }"""
TASK = "query($id: ID!) { task(id: $id) { status attempt result error { code message } } }"
ROUNDS = 3
SECRET = "whsec_nobody_but_the_receiver_knows"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")


@pytest.fixture
def localstripe() -> Iterator[LocalStripe]:
    """An empty localstripe."""
    found = LocalStripe().start()
    yield found
    found.stop()


@pytest.fixture
def front(localstripe: LocalStripe) -> Iterator[IdempotentFront]:
    """What the server takes for Stripe."""
    with contextlib.closing(IdempotentFront(localstripe)) as found:
        yield found


def test_a_kill_between_charge_and_record_charges_once(
    make_server: Callable[..., ServerProcess], localstripe: LocalStripe, front: IdempotentFront
) -> None:
    customer = localstripe.customer()
    server = make_server(
        STRIPE_SECRET_KEY=KEY, STRIPE_API_BASE=front.url, WEBHOOK_SECRET=SECRET, TASK_LOCK_SECONDS="4"
    ).start()
    paid = []
    for number in range(ROUNDS):
        front.may_answer.clear()
        front.carried_out.clear()
        task = server.query(PAY, {"customer": customer, "amount": 1000 + number})["createStripePaymentTask"]
        assert front.carried_out.wait(30), "Stripe was not called"
        server.kill()
        front.may_answer.set()
        wait_until(lambda: not front.busy)
        server.start()
        paid.append(wait_until(partial(_ended, server, task["id"])))
        assert (paid[-1]["status"], paid[-1]["attempt"]) == ("COMPLETED", 2), paid[-1]
    charges = localstripe.listed("charges")
    assert sorted(charge["amount"] for charge in charges) == [1000, 1001, 1002]
    assert {one["result"]["charge_id"] for one in paid} == {charge["id"] for charge in charges}
    keys = [request.key for request in front.requests if request.path.endswith("/payment_intents")]
    assert len(keys) == 2 * ROUNDS
    assert len(set(keys)) == ROUNDS
    kept = b"".join(path.read_bytes() for path in server.data_dir.iterdir() if path.is_file())
    for secret in (KEY, SECRET):
        assert secret not in server.log
        assert secret.encode() not in server.get("/health")[1]
        assert secret.encode() not in kept


def _ended(server: ServerProcess, task_id: str) -> Any:
    task = server.query(TASK, {"id": task_id})["task"]
    return task if task["status"] in ("COMPLETED", "FAILED") else None
