"""Payments without a key of Stripe: simulated, marked as such, and held to the limits of a payload."""

import asyncio
from typing import Any

import jsonschema
import pytest
from server_process import wait_until
from stripe_runs import CUSTOMER, DECLINED, PAYMENT, REFUND, Run, a_task, executed, in_loop, payment

from afterwrite.tasks.task import Progress
from afterwrite.tasks.worker import CancelAsked, TaskFailed
from afterwrite.tasks.workers.stripe_payments import StripeWorker


def test_the_simulation_says_so_in_every_result_and_gives_a_task_the_same_ids_again() -> None:
    tasks = [
        a_task(CUSTOMER, {"email": "a@example.com", "name": "A"}),
        payment("cus_sim_1", 2),
        a_task(REFUND, {"payment_intent_id": "pi_sim_1"}, 3),
        a_task(REFUND, {"payment_intent_id": "pi_sim_1", "amount": 5}, 4),
    ]
    results = executed("", *tasks, key=" ")
    assert all(result["simulated"] is True for result in results)
    assert results[0]["customer_id"].startswith("cus_sim_")
    assert results[1]["payment_intent_id"].startswith("pi_sim_")
    assert (results[1]["status"], results[1]["amount"], results[1]["currency"]) == ("succeeded", 1500, "eur")
    assert [result["refund_id"][:7] for result in results[2:]] == ["re_sim_", "re_sim_"]
    assert [result["amount"] for result in results[2:]] == [None, 5]
    assert executed("", *tasks, key="") == results
    assert executed("", payment("cus_sim_1", 5), key="")[0]["payment_intent_id"] != results[1]["payment_intent_id"]


def test_the_simulation_makes_progress_ends_for_a_cancel_and_declines_the_test_cards_for_it() -> None:
    async def work(run: Run) -> list[Progress]:
        await run.execute(payment("cus_1"))
        done = list(run.reports)
        with pytest.raises(TaskFailed, match="simulation declined") as declined:
            await run.execute(payment("cus_1", payment_method=DECLINED))
        assert (declined.value.code, declined.value.final) == ("CARD_DECLINED", True)
        cancelled = asyncio.ensure_future(run.execute(payment("cus_1")))
        await asyncio.to_thread(wait_until, lambda: len(run.contexts) == 3)
        run.contexts[2].stop(CancelAsked)
        with pytest.raises(CancelAsked):
            await cancelled
        return done

    assert in_loop("", work, key="") == [Progress(10, "SIMULATING_STRIPE"), Progress(40), Progress(70)]


def test_payloads_have_limits() -> None:
    good: dict[str, dict[str, Any]] = {
        CUSTOMER: {"email": "a@b.c", "name": "A"},
        PAYMENT: {"amount": 10**12 - 1, "currency": "usd", "customer_id": "cus_1", "payment_method": "card_1"},
        REFUND: {"payment_intent_id": "pi_1", "amount": 1},
    }
    bad: dict[str, dict[str, list[Any]]] = {
        CUSTOMER: {"email": ["a", "a@b\n", "a b@c", "@", "a@" + "b" * 300, 1], "name": ["", " ", "n" * 300], "x": [1]},
        PAYMENT: {
            "amount": [0, -1, 1.5, "1", True, 10**12],
            "currency": ["us", "euro", "us1", "usd\n"],
            "customer_id": ["1", "cus_", "cus_1/2", "cus_1\n"],
            "payment_method": ["4242424242424242", ""],
            "description": ["d" * 1001],
        },
        REFUND: {"payment_intent_id": ["ch_1", "pi_1 "], "amount": [0, None]},
    }
    for task_type, payload in good.items():
        check = jsonschema.Draft202012Validator(StripeWorker.types[task_type])
        assert check.is_valid(payload)
        for name, values in bad[task_type].items():
            for value in values:
                assert not check.is_valid(payload | {name: value}), (name, value)
