"""The Stripe worker against a real localstripe: one charge whatever happens, errors sorted, no secret told."""

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from server_process import free_port, wait_until
from stripe_fake import KEY, Answer, IdempotentFront, LocalStripe, canned, silent_url
from stripe_runs import CUSTOMER, DECLINED, REFUND, US, Run, a_task, executed, failure, in_loop, payment

from afterwrite.tasks.task import Completed, Failed, Progress, TaskError, after, asked_again
from afterwrite.tasks.worker import CancelAsked, TaskFailed
from afterwrite.tasks.workers.stripe_payments import StripeWorker


@pytest.fixture(scope="module")
def localstripe() -> Iterator[LocalStripe]:
    """A localstripe for all the tests here; each uses customers of its own."""
    started = LocalStripe()
    try:
        yield started.start()
    finally:
        started.stop()


@pytest.fixture
def front(localstripe: LocalStripe) -> Iterator[IdempotentFront]:
    """Stripe as it is documented: localstripe behind a front that honours idempotency keys."""
    with closing(IdempotentFront(localstripe)) as listening:
        yield listening


# -- what it does ------------------------------------------------------------------------------------------------


def test_a_customer_a_payment_and_refunds_go_through_localstripe_itself(localstripe: LocalStripe) -> None:
    made = executed(localstripe.url, a_task(CUSTOMER, {"email": "eve@example.com", "name": "Eve"}))[0]
    (customer,) = localstripe.listed("customers", email="eve@example.com")
    assert made == {"simulated": False, "customer_id": customer["id"]}
    paid = executed(localstripe.url, payment(customer["id"]))[0]
    (charge,) = localstripe.listed("charges", customer=customer["id"])
    assert (charge["amount"], charge["currency"], charge["status"]) == (1500, "eur", "succeeded")
    assert paid == {
        "simulated": False,
        "payment_intent_id": charge["payment_intent"],
        "charge_id": charge["id"],
        "status": "succeeded",
        "amount": 1500,
        "currency": "eur",
        "customer_id": customer["id"],
    }
    part = a_task(REFUND, {"payment_intent_id": paid["payment_intent_id"], "amount": 400}, 2)
    whole = a_task(REFUND, {"payment_intent_id": paid["payment_intent_id"]}, 3)
    results = executed(localstripe.url, part, whole)
    refunds = {r["id"]: r["amount"] for r in localstripe.listed("refunds", charge=charge["id"])}
    assert refunds == {result["refund_id"]: result["amount"] for result in results}
    assert [(r["amount"], r["status"], r["simulated"]) for r in results] == [
        (400, "succeeded", False),
        (1500, "succeeded", False),
    ]


def test_a_call_says_who_pays_and_that_nobody_is_there_to_ask(front: IdempotentFront, localstripe: LocalStripe) -> None:
    task = payment(localstripe.customer(), amount=10.0, description="Order 7")
    executed(front.url, task)
    (request,) = front.requests
    key = request.key
    assert key == "afterwrite-tests-1-payment"
    assert request.form.items() >= {
        ("amount", "10"), ("description", "Order 7"), ("confirm", "true"), ("off_session", "true"),
        ("payment_method_types[0]", "card"), ("payment_method", "pm_card_visa"), ("metadata[afterwrite_key]", key),
    }  # fmt: skip
    assert request.headers["X-Stripe-Client-Telemetry"] is None
    # From there on Stripe refuses payment_method_types.
    assert request.headers["Stripe-Version"] < "2026-09-30"


def test_the_stage_is_recorded_before_the_call_and_nothing_after_it(localstripe: LocalStripe) -> None:
    async def work(run: Run) -> list[Progress]:
        await run.execute(payment(localstripe.customer()))
        return run.reports

    assert in_loop(localstripe.url, work) == [Progress(10, "CALLING_STRIPE")]


def test_calls_share_their_connection_and_do_not_hold_up_the_loop(
    front: IdempotentFront, localstripe: LocalStripe
) -> None:
    customer = localstripe.customer()
    executed(front.url, *(payment(customer, number) for number in range(5)))
    assert front.connections == 1

    async def at_once(run: Run) -> None:
        front.may_answer.clear()
        calls = [asyncio.ensure_future(run.execute(payment(customer, 10 + number))) for number in range(5)]
        # The loop goes on while all of them wait for their answers.
        await asyncio.to_thread(wait_until, lambda: len(front.requests) == 10)
        front.may_answer.set()
        await asyncio.gather(*calls)

    in_loop(front.url, at_once)
    assert len(localstripe.listed("charges", customer=customer)) == 10


# -- one charge, whatever happens -----------------------------------------------------------------------------------


def test_a_result_that_was_lost_before_its_record_is_charged_once(
    front: IdempotentFront, localstripe: LocalStripe
) -> None:
    customer = localstripe.customer()
    lost = executed(front.url, payment(customer))
    again = executed(front.url, payment(customer)._replace(attempt=2, claim=2, stage="CALLING_STRIPE"))
    assert again == lost
    assert len(localstripe.listed("charges", customer=customer)) == 1
    executed(front.url, payment(customer, 2))
    assert len(localstripe.listed("charges", customer=customer)) == 2  # another task is another charge


def test_a_customer_and_a_refund_whose_results_were_lost_are_made_once_too(
    front: IdempotentFront, localstripe: LocalStripe
) -> None:
    [paid] = executed(front.url, payment(localstripe.customer()))
    customers, refunds = (len(localstripe.listed(what)) for what in ("customers", "refunds"))
    for task in (
        a_task(CUSTOMER, {"email": "lost@example.com", "name": "L"}, 2),
        a_task(REFUND, {"payment_intent_id": paid["payment_intent_id"], "amount": 100}, 3),
    ):
        lost = executed(front.url, task)
        assert executed(front.url, task._replace(attempt=2, claim=2, stage="CALLING_STRIPE")) == lost
    assert len(localstripe.listed("customers")) == customers + 1
    assert len(localstripe.listed("refunds")) == refunds + 1
    assert all(request.key for request in front.requests if request.method == "POST")


def test_a_hard_stop_during_the_call_charges_once(front: IdempotentFront, localstripe: LocalStripe) -> None:
    customer = localstripe.customer()

    async def stopped_then_again(run: Run) -> Any:
        front.may_answer.clear()
        first = asyncio.ensure_future(run.execute(payment(customer)))
        assert await asyncio.to_thread(front.carried_out.wait, 20)  # charged, and not answered
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(TaskFailed) as busy:  # the first call is still under way
            await run.execute(payment(customer))
        front.may_answer.set()
        await asyncio.to_thread(wait_until, lambda: not front.busy)
        return busy.value, await run.execute(payment(customer))

    busy, result = in_loop(front.url, stopped_then_again)
    assert (busy.code, busy.final) == ("STRIPE_BUSY", False)
    (charge,) = localstripe.listed("charges", customer=customer)
    assert result["charge_id"] == charge["id"]


def test_a_cancel_during_the_call_does_not_lose_the_charge_and_one_before_it_charges_nothing(
    front: IdempotentFront, localstripe: LocalStripe
) -> None:
    customer = localstripe.customer()

    async def during(run: Run) -> Any:
        front.may_answer.clear()
        call = asyncio.ensure_future(run.execute(payment(customer)))
        assert await asyncio.to_thread(front.carried_out.wait, 20)
        run.contexts[0].stop(CancelAsked)
        front.may_answer.set()
        return await call

    async def before(run: Run) -> None:
        async def cancelled_meanwhile(progress: Progress) -> None:
            run.contexts[0].stop(CancelAsked)

        run._report = cancelled_meanwhile  # type: ignore[method-assign]
        await run.execute(payment(customer, 2))

    assert in_loop(front.url, during)["status"] == "succeeded"
    with pytest.raises(CancelAsked):
        in_loop(front.url, before)
    assert len(localstripe.listed("charges", customer=customer)) == 1


def test_a_retry_has_a_new_key_after_a_final_error_and_the_same_one_after_an_uncertain_one(
    front: IdempotentFront, localstripe: LocalStripe
) -> None:
    task = payment(localstripe.customer(), payment_method=DECLINED)
    for final in (True, False):
        ended = after(task, Failed(TaskError("CODE", "why", final), None), 1)
        with pytest.raises(TaskFailed):
            executed(front.url, asked_again(ended, 2)._replace(status="PROCESSING"))
    assert [request.key for request in front.requests] == ["afterwrite-tests-1-1-payment", "afterwrite-tests-1-payment"]


def test_a_key_that_stripe_may_have_forgotten_is_not_used_again(
    front: IdempotentFront, localstripe: LocalStripe
) -> None:
    yesterday = time.time_ns() // 1000 - 24 * 3600 * US
    old = payment(localstripe.customer())._replace(started_at_us=yesterday, stage="CALLING_STRIPE", attempt=2)
    refused = failure(front.url, old)
    assert (refused.code, refused.final) == ("STRIPE_OUTCOME_UNKNOWN", True)
    assert "afterwrite-tests-1" in refused.message
    assert not front.requests
    begun_anew = old._replace(renewals=1, started_at_us=time.time_ns() // 1000)
    never_called = old._replace(id=2, stage=None)
    executed(front.url, begun_anew, never_called)
    assert len(front.requests) == 2


# -- what Stripe refuses --------------------------------------------------------------------------------------------


def test_a_declined_card_is_final_and_charges_nothing(front: IdempotentFront, localstripe: LocalStripe) -> None:
    customer = localstripe.customer()
    declined = failure(front.url, payment(customer, payment_method=DECLINED))
    assert (declined.code, declined.final) == ("CARD_DECLINED", True)
    assert declined.message == "Your card was declined (reason: card_declined). Use another card"
    assert [charge["status"] for charge in localstripe.listed("charges", customer=customer)] == ["failed"]


def test_a_card_whose_bank_wants_its_owner_is_not_a_success(localstripe: LocalStripe) -> None:
    customer = localstripe.customer()
    form = {"type": "card", "card[number]": "4000002500003155", "card[exp_month]": "12"}
    method = localstripe.call(
        "POST", "/v1/payment_methods", form | {"card[exp_year]": "2040", "card[cvc]": "123"}
    ).body["id"]
    refused = failure(localstripe.url, payment(customer, payment_method=method))
    assert (refused.code, refused.final) == ("CARD_ACTION_REQUIRED", True)
    assert localstripe.listed("charges", customer=customer) == []


def test_an_unknown_customer_and_payment_are_refused_for_good(localstripe: LocalStripe) -> None:
    for task in (payment("cus_nobody"), a_task(REFUND, {"payment_intent_id": "pi_none"})):
        refused = failure(localstripe.url, task)
        assert (refused.code, refused.final) == ("STRIPE_REFUSED", True)
        assert "Not Found" in refused.message


def test_the_same_key_with_other_parameters_is_final(front: IdempotentFront, localstripe: LocalStripe) -> None:
    customer = localstripe.customer()
    executed(front.url, payment(customer))
    reused = failure(front.url, payment(customer, amount=1501))
    assert (reused.code, reused.final) == ("STRIPE_KEY_REUSED", True)
    assert len(localstripe.listed("charges", customer=customer)) == 1


def test_a_wrong_key_is_tried_again_after_minutes_for_somebody_to_mend_it(localstripe: LocalStripe) -> None:
    refused = failure(localstripe.url, payment(localstripe.customer()), key="wrong")
    assert (refused.code, refused.final, refused.retry_after_seconds) == ("STRIPE_NOT_ALLOWED", False, 300)
    assert "Correct STRIPE_SECRET_KEY" in refused.message


def test_a_live_key_does_not_pay_with_the_test_card() -> None:
    for key in ("sk_live_1", "rk_live_1"):
        refused = failure(f"http://127.0.0.1:{free_port()}", payment("cus_1"), key=key)
        assert (refused.code, refused.final) == ("PAYMENT_METHOD_REQUIRED", True)


STRIPES_OWN = [  # answers that localstripe does not give, as Stripe documents them
    (400, {"message": "Refund amount ($20.00) is greater than unrefunded amount on charge ($15.00)", "param": "amount"},
     ("STRIPE_REFUSED", True, "parameter: amount")),
    (402, {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds", "message": "No funds."},
     ("CARD_DECLINED", True, "No funds (reason: insufficient_funds)")),
    (402, {"type": "card_error", "code": "authentication_required", "message": "It asks for authentication."},
     ("CARD_ACTION_REQUIRED", True, "nothing was charged")),
    (403, {"message": "The provided key does not have access"}, ("STRIPE_NOT_ALLOWED", False, "does not have access")),
    (400, {"code": "rate_limit", "message": "Slow down"}, ("STRIPE_RATE_LIMITED", False, "Slow down")),
    (500, {"type": "api_error", "message": "Sorry"}, ("STRIPE_ERROR", False, "failed with 500: Sorry")),
    (409, {"code": "lock_timeout", "message": "Locked"}, ("STRIPE_BUSY", False, "Locked")),
]  # fmt: skip


@pytest.mark.parametrize(("status", "error", "expected"), STRIPES_OWN)
def test_every_error_is_final_or_not_and_says_why(status: int, error: Any, expected: tuple[str, bool, str]) -> None:
    with canned([Answer(status, {"error": error})]) as server:
        failed = failure(server.url, a_task(REFUND, {"payment_intent_id": "pi_1", "amount": 2000}))
    code, final, words = expected
    assert (failed.code, failed.final) == (code, final)
    assert words in failed.message


@pytest.mark.parametrize(
    ("status", "told", "low", "high"),
    [(429, "7", 7, 7), (503, "0", 1, 1), (500, "999999", 3600, 3600), (429, timedelta(minutes=30), 1500, 1800)],
)
@pytest.mark.parametrize("body", [{"error": {"message": "Later"}}, "<h1>Later</h1>"])
def test_retry_after_is_honoured_within_reason(
    status: int, told: str | timedelta, low: float, high: float, body: Any
) -> None:
    if isinstance(told, timedelta):  # a date, counted from when it is sent and not from when tests are collected
        told = format_datetime(datetime.now(UTC) + told, usegmt=True)
    with canned([Answer(status, body, {"Retry-After": told})]) as server:
        failed = failure(server.url, payment("cus_1"))
    assert not failed.final
    assert failed.retry_after_seconds is not None
    assert low <= failed.retry_after_seconds <= high


@pytest.mark.parametrize("told", ["soon", "-5", ""])
def test_a_retry_after_that_says_nothing_leaves_the_pause_to_the_policy(told: str) -> None:
    with canned([Answer(500, {"error": {"message": "Sorry"}}, {"Retry-After": told})]) as server:
        assert failure(server.url, payment("cus_1")).retry_after_seconds is None


def test_a_server_that_is_down_or_hangs_is_tried_again() -> None:
    down = failure(f"http://127.0.0.1:{free_port()}", payment("cus_1"))
    with silent_url() as url:
        hangs = failure(url, payment("cus_1"), call_seconds=0.2)
    assert [(f.code, f.final) for f in (down, hangs)] == [("STRIPE_UNREACHABLE", False)] * 2
    assert "no answer within 0.2 s" in hangs.message


def test_pauses_grow_from_two_seconds_to_five_minutes_over_six_attempts() -> None:
    policy = StripeWorker.retry
    assert policy.max_attempts == 6
    assert 1 <= policy.delay_seconds(1) <= 2
    assert 150 <= policy.delay_seconds(5) <= 300


# -- secrets --------------------------------------------------------------------------------------------------------

QUOTED = f"Invalid key {KEY}, sk_test_****0key, whsec_abc, pi_1_secret_xyz, card 4242 4242 4242 4242, task 123456789012"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 429, 500])
def test_no_secret_reaches_a_message_a_traceback_or_a_log(status: int, caplog: pytest.LogCaptureFixture) -> None:
    for name in (None, "stripe", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, name)
    answers = [Answer(status, {"error": {"message": QUOTED}}), Answer(status, QUOTED)]
    with canned(answers) as server:
        failures = [failure(server.url, payment("cus_1")) for _ in answers]
    for failed in failures:
        told = "".join(traceback.format_exception(failed)) + failed.message + caplog.text
        for secret in (KEY, "0key", "whsec_abc", "secret_xyz", "4242 4242"):
            assert secret not in told
        assert failed.__cause__ is None
        assert failed.__context__ is None
    assert "task 123456789012" in failures[0].message


def test_no_secret_is_logged_or_returned_when_all_goes_well(
    localstripe: LocalStripe, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (None, "stripe"):
        caplog.set_level(logging.DEBUG, name)
    result = executed(localstripe.url, payment(localstripe.customer()))[0]
    told = json.dumps(result) + caplog.text
    assert KEY not in told
    assert "_secret_" not in told  # localstripe's answer has the client secret of the payment


@pytest.mark.parametrize("key", ["sk_test_two\nlines", "sk_test_two words", "sk_test_ключ"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_quoted(key: str) -> None:
    with pytest.raises(ValueError, match="copy it again") as refused:
        StripeWorker(key, "")
    assert "sk_test" not in str(refused.value)


def test_health_says_simulated_or_configured_and_no_secret(localstripe: LocalStripe) -> None:
    async def health_of(run: Run) -> Any:
        return run.worker.health()

    assert in_loop("", health_of, key="") == {"status": "simulated"}
    assert in_loop("", health_of) == {"status": "configured", "mode": "test", "host": "api.stripe.com"}
    live = in_loop("http://user:pass@127.0.0.1:1/", health_of, key="sk_live_1")
    assert live == {"status": "configured", "mode": "live", "host": "127.0.0.1"}


def test_a_finished_task_keeps_its_result_as_json(localstripe: LocalStripe) -> None:
    task = payment(localstripe.customer())
    result = executed(localstripe.url, task)[0]
    assert after(task, Completed(json.dumps(result)), 1).result == result
