"""Amounts of every size that Stripe takes reach it, and the simulation refuses those that Stripe refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server_process import ServerProcess
from stripe_fake import KEY, LocalStripe
from task_calls import create, execute, find, wait_ended

pytestmark = pytest.mark.one_database("payloads are the same in both")

PAYMENT, REFUND = "stripe_create_payment", "stripe_refund_payment"
CREATE_PAYMENT = """mutation ($amount: %s, $currency: String!) {
  createStripePaymentTask(amount: $amount, currency: $currency, customerId: "cus_1") { id payload } }"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server without a key of Stripe's."""
    server = ServerProcess(tmp_path_factory.mktemp("amounts") / "data").start()
    yield server
    server.kill()


def ended(api: ServerProcess, number: str) -> Any:
    """A task when it has ended."""
    wait_ended(api, number)
    return find(api, number, "status result error { code message }")


def paid(api: ServerProcess, amount: int, currency: str, **more: str) -> Any:
    """The end of a simulated payment, made with createTask."""
    payload = {"amount": amount, "currency": currency, "customer_id": "cus_1", **more}
    return ended(api, create(api, PAYMENT, payload)["id"])


@pytest.mark.parametrize("amount", [150_000_000, 5_000_000_000, 999_999_999_999])
def test_a_payment_of_many_rupiah_is_made_by_every_way_in(api: ServerProcess, amount: int) -> None:
    variables = {"amount": amount, "currency": "IDR"}
    by_variable = api.query(CREATE_PAYMENT % "BigInt!", variables)["createStripePaymentTask"]["id"]
    by_literal = api.query(
        f'mutation {{ made: createStripePaymentTask(amount: {amount}, currency: "idr", customerId: "cus_1") {{ id }} }}'
    )["made"]["id"]
    for task in (ended(api, by_variable), ended(api, by_literal), paid(api, amount, "idr")):
        assert (task["status"], task["result"]["amount"], task["result"]["currency"]) == ("COMPLETED", amount, "idr")


def test_a_refund_takes_as_much_as_a_payment(api: ServerProcess) -> None:
    amount = 5_000_000_000
    document = """mutation ($amount: BigInt) {
      createStripeRefundTask(paymentIntentId: "pi_1", amount: $amount) { id } }"""
    number = api.query(document, {"amount": amount})["createStripeRefundTask"]["id"]
    assert ended(api, number)["result"]["amount"] == amount
    assert (
        ended(api, create(api, REFUND, {"payment_intent_id": "pi_1", "amount": amount})["id"])["status"] == "COMPLETED"
    )


@pytest.mark.parametrize("declared", ["Int!", "Int! = 7", "BigInt!"])
def test_documents_that_declare_the_amount_as_int_stay_valid(api: ServerProcess, declared: str) -> None:
    made = api.query(CREATE_PAYMENT % declared, {"amount": 1500, "currency": "eur"})
    assert made["createStripePaymentTask"]["payload"]["amount"] == 1500
    document = """mutation ($amount: Int) { createStripeRefundTask(paymentIntentId: "pi_1", amount: $amount) { id } }"""
    for variables in ({"amount": 5}, {"amount": None}, {}):
        assert "errors" not in execute(api, document, variables)


@pytest.mark.parametrize("amount", ["1500", 15.5, True, [1500], 1e400])
def test_an_amount_that_is_no_whole_number_is_refused(api: ServerProcess, amount: Any) -> None:
    answer = execute(api, CREATE_PAYMENT % "BigInt!", {"amount": amount, "currency": "eur"})
    assert answer["errors"][0]["extensions"]["code"] in ("BAD_USER_INPUT", "BAD_REQUEST")


@pytest.mark.parametrize("amount", [0, 10**12])
def test_an_amount_that_stripe_takes_in_no_currency_is_refused_at_once(api: ServerProcess, amount: int) -> None:
    [error] = execute(api, CREATE_PAYMENT % "BigInt!", {"amount": amount, "currency": "idr"})["errors"]
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("INVALID_PAYLOAD", "amount")


REFUSED = [
    (49, "usd", {}, "Amount must be at least 50", "parameter: amount, code: amount_too_small"),
    (29, "gbp", {}, "Amount must be at least 30", "parameter: amount, code: amount_too_small"),
    (17_499, "HUF", {}, "Amount must be at least 17,500", "parameter: amount, code: amount_too_small"),
    (49, "jpy", {}, "Amount must be at least 50", "parameter: amount, code: amount_too_small"),
    (10**9, "usd", {"payment_method": "pm_card_amex"}, "no more than 999,999,999", "code: amount_too_large"),
    (5_124, "kwd", {}, "last digit of an amount in kwd must be 0", "code: invalid_charge_amount)"),
    (550, "isk", {}, "divisible by 100", "code: invalid_charge_amount_no_decimal_compatible"),
    (1_000, "xxx", {}, "Invalid currency: xxx", "parameter: currency, code: none"),
    (49, "usd", {"payment_method": "pm_card_visa_chargeDeclined"}, "at least 50", "code: amount_too_small"),
]  # fmt: skip


@pytest.mark.parametrize(("amount", "currency", "more", "said", "about"), REFUSED)
def test_the_simulation_refuses_what_stripe_refuses_with_its_code(
    api: ServerProcess, amount: int, currency: str, more: dict[str, str], said: str, about: str
) -> None:
    task = paid(api, amount, currency, **more)
    assert (task["status"], task["error"]["code"], task["result"]) == ("FAILED", "STRIPE_REFUSED", None)
    assert task["error"]["message"].startswith("Stripe refused the request: ")
    assert said in task["error"]["message"]
    assert about in task["error"]["message"]


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        (50, "usd"),
        (30, "gbp"),
        (17_500, "huf"),
        (50, "jpy"),
        (1, "vnd"),
        (150_000_000, "vnd"),
        (5_120, "KWD"),
        (500, "isk"),
    ],
)
def test_the_simulation_takes_what_stripe_takes(api: ServerProcess, amount: int, currency: str) -> None:
    task = paid(api, amount, currency)
    assert (task["status"], task["result"]["amount"]) == ("COMPLETED", amount)


def test_with_a_key_a_large_amount_reaches_stripe_as_it_is(tmp_path: Path) -> None:
    stripe = LocalStripe()
    try:
        stripe.start()
        customer = stripe.customer()
        server = ServerProcess(tmp_path / "data", STRIPE_SECRET_KEY=KEY, STRIPE_API_BASE=stripe.url).start()
        try:
            payload = {"amount": 5_000_000_000, "currency": "IDR", "customer_id": customer}
            task = ended(server, create(server, PAYMENT, payload)["id"])
        finally:
            server.kill()
        assert task["status"] == "COMPLETED", task["error"]
        (charge,) = stripe.listed("charges", customer=customer)
        assert (charge["amount"], charge["currency"]) == (5_000_000_000, "idr")
    finally:
        stripe.stop()
