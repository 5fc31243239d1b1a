"""The Stripe client: makes the calls of Stripe tasks and maps errors to task failures."""

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import stripe

from afterwrite.tasks.stripe_amounts import refused_by_stripe
from afterwrite.tasks.task import Task
from afterwrite.tasks.worker import TaskContext, TaskFailed

CALLING = "CALLING_STRIPE"

# Accepts payment_method_types, which both Stripe and localstripe understand. From 2026-09-30.endive on, the default of
# the package, Stripe rejects it and wants fields that localstripe rejects (https://docs.stripe.com/changelog/endive).
_API_VERSION = "2026-07-29.dahlia"
_CONNECT_SECONDS = 10.0
_BAD_KEY_RETRY_SECONDS = 300.0
_RETRY_AFTER_MAX_SECONDS = 3600.0
# Stripe forgets an idempotency key after 24 hours, and treats a later repeat as a new request.
_KEY_SECONDS = 23 * 3600
_MESSAGE_LENGTH = 500
_SECRETS = re.compile(
    r"\b(?:sk|rk|pk|whsec)_[\w*]+"  # keys, including those that Stripe masks with stars
    r"|\b\w+_secret_\w+"  # the client secret of a payment
    r"|(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])"  # a card number
)
_ACTION = (
    "The bank requires the cardholder to authenticate, which an off-session payment cannot do: nothing was charged. "
    "Authenticate the card with the cardholder present, or use another card"
)
_SAME_KEY = "Another attempt uses the same idempotency key, so nothing is done twice"


class StripeDesk:
    """The calls of one account; call every method on the loop."""

    stage = CALLING

    def __init__(self, secret_key: str, api_base: str, call_seconds: float, test_payment_method: str | None) -> None:
        """``test_payment_method`` is the default payment method; None makes a payment method mandatory."""
        # The package logs bodies (emails, client secrets) and Stripe's messages, which quote keys. Its telemetry writes
        # a file into the home folder and can only be switched off for the whole process.
        logging.getLogger("stripe").addFilter(_is_serious)
        stripe.enable_telemetry = False
        self._secret_key, self._test_payment_method = secret_key, test_payment_method
        self._http = _Http(call_seconds)
        self._stripe = stripe.StripeClient(
            secret_key,
            stripe_version=_API_VERSION,
            base_addresses={"api": api_base},
            max_network_retries=0,
            http_client=self._http,
        ).v1

    def check(self, task: Task, context: TaskContext) -> None:
        """Raise TaskFailed if the task started so long ago that Stripe may have forgotten its key."""
        if task.stage != CALLING or task.started_at_us is None:
            return
        if time.time() - task.started_at_us / 1_000_000 >= _KEY_SECONDS:
            raise TaskFailed(
                "STRIPE_OUTCOME_UNKNOWN",
                "Stripe was called for this task a day ago or more and may have forgotten it: another call could "
                f"charge twice. Search Stripe for metadata afterwrite_key starting with {context.key()}; "
                "if there is none, retry the task: it then starts over",
                final=True,
            )

    async def call(self, task: Task, context: TaskContext) -> dict[str, Any]:
        """Make the task's call. Raises TaskFailed, with no secret in its message."""
        work = {
            "stripe_create_customer": self._create_customer,
            "stripe_create_payment": self._create_payment,
            "stripe_refund_payment": self._refund_payment,
        }[task.type]
        try:
            return await work(task.payload, context)
        except stripe.StripeError as error:
            failure = _failure_of(error, self._secret_key)
        raise failure  # outside the handler: the package's error quotes keys, so it must not become the cause

    async def close(self) -> None:
        await self._http.close_async()

    async def _create_customer(self, payload: Any, context: TaskContext) -> dict[str, Any]:
        key = context.key("customer")
        customer = await self._stripe.customers.create_async(
            {"email": payload["email"], "name": payload["name"], "metadata": {"afterwrite_key": key}},
            {"idempotency_key": key},
        )
        return {"simulated": False, "customer_id": customer.id}

    async def _create_payment(self, payload: Any, context: TaskContext) -> dict[str, Any]:
        key = context.key("payment")
        request: stripe.params.PaymentIntentCreateParams = {
            "amount": int(payload["amount"]),  # 10.0 is an integer in JSON Schema, but not for Stripe
            "currency": payload["currency"].lower(),
            "customer": payload["customer_id"],
            "payment_method": self._payment_method(payload),
            "payment_method_types": ["card"],  # type: ignore[typeddict-unknown-key] # see _API_VERSION
            "confirm": True,
            "off_session": True,
            "metadata": {"afterwrite_key": key},
        }
        if "description" in payload:
            request["description"] = payload["description"]
        payment = await self._stripe.payment_intents.create_async(request, {"idempotency_key": key})
        _refuse_an_unpaid(payment)
        return _result_of(payment, payload["customer_id"])

    async def _refund_payment(self, payload: Any, context: TaskContext) -> dict[str, Any]:
        key = context.key("refund")
        request: stripe.params.RefundCreateParams = {
            "payment_intent": payload["payment_intent_id"],
            "metadata": {"afterwrite_key": key},
        }
        if "amount" in payload:
            request["amount"] = int(payload["amount"])
        refund = await self._stripe.refunds.create_async(request, {"idempotency_key": key})
        if refund.status not in ("succeeded", "pending"):
            raise TaskFailed(
                "REFUND_FAILED", f"The refund {refund.id} is {refund.status}: see it at Stripe", final=True
            )
        return {
            "simulated": False,
            "refund_id": refund.id,
            "payment_intent_id": payload["payment_intent_id"],
            "status": refund.status,
            "amount": refund.amount,
            "currency": refund.currency,
        }

    def _payment_method(self, payload: Any) -> str:
        if "payment_method" not in payload and self._test_payment_method is None:
            raise TaskFailed(
                "PAYMENT_METHOD_REQUIRED",
                "The key is a live one, and the default payment method is a test card: nothing was charged. "
                "Create the payment again with payment_method, the id of a payment method of the customer",
                final=True,
            )
        return str(payload.get("payment_method", self._test_payment_method))


class _Http(stripe.HTTPClient):
    """The HTTP transport of the package, on the loop and with kept-alive connections.

    The package's own httpx client passes the body in a way that httpx warns about, and its timeout covers only single
    reads.
    """

    name = "httpx"

    def __init__(self, call_seconds: float) -> None:
        super().__init__()
        self._call_seconds = call_seconds
        self._client = httpx.AsyncClient(timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS))

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            async with asyncio.timeout(self._call_seconds):
                answer = await self._client.request(method, url, headers=headers, content=post_data)
        except TimeoutError:
            failure = f"no answer within {self._call_seconds:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            failure = f"{type(error).__name__} {error}".strip()
        else:
            return answer.content, answer.status_code, answer.headers
        raise stripe.APIConnectionError(failure)  # type: ignore[no-untyped-call]

    async def close_async(self) -> None:
        await self._client.aclose()


def _result_of(payment: stripe.PaymentIntent, customer_id: str) -> dict[str, Any]:
    charge = payment.latest_charge
    return {
        "simulated": False,
        "payment_intent_id": payment.id,
        "charge_id": charge.id if isinstance(charge, stripe.Charge) else charge,
        "status": payment.status,
        "amount": payment.amount,
        "currency": payment.currency,
        "customer_id": customer_id,
    }


def _refuse_an_unpaid(payment: stripe.PaymentIntent) -> None:
    if payment.status in ("succeeded", "processing"):
        return
    if payment.status == "requires_action":
        raise TaskFailed("CARD_ACTION_REQUIRED", f"Payment {payment.id}: {_ACTION}", final=True)
    raise TaskFailed(
        "PAYMENT_INCOMPLETE", f"Payment {payment.id} is {payment.status}: see it at Stripe, or retry", final=True
    )


def _failure_of(error: stripe.StripeError, secret_key: str) -> TaskFailed:
    said = _without_secrets(error.user_message or "no reason given", secret_key).rstrip(".")
    return _final_failure(error, said) or _passing_failure(error, said, _retry_after_seconds(error))


def _final_failure(error: stripe.StripeError, said: str) -> TaskFailed | None:
    match error:
        case stripe.CardError(code="authentication_required"):
            code, message = "CARD_ACTION_REQUIRED", f"{said}. {_ACTION}"
        case stripe.CardError():
            reason = getattr(error.error, "decline_code", None) or error.code
            code, message = "CARD_DECLINED", f"{said} (reason: {reason}). Use another card"
        case stripe.IdempotencyError():
            code = "STRIPE_KEY_REUSED"
            message = f"{said}. The first call may have been done: look at Stripe before you retry, with a new key"
        case stripe.InvalidRequestError():
            return refused_by_stripe(said, error.param, error.code)
        case _:
            return None
    return TaskFailed(code, message, final=True)


def _passing_failure(error: stripe.StripeError, said: str, pause: float | None) -> TaskFailed:
    match error:
        case stripe.AuthenticationError() | stripe.PermissionError():
            pause = pause or _BAD_KEY_RETRY_SECONDS
            code = "STRIPE_NOT_ALLOWED"
            message = f"Stripe does not accept the key: {said}. Correct STRIPE_SECRET_KEY and restart the server"
        case stripe.RateLimitError():
            code, message = "STRIPE_RATE_LIMITED", f"Stripe limits the rate of requests: {said}"
        case stripe.APIConnectionError():
            code, message = "STRIPE_UNREACHABLE", f"No answer from Stripe: {said}. {_SAME_KEY}"
        case stripe.StripeError(http_status=409):
            code = "STRIPE_BUSY"
            message = f"Stripe is still processing an earlier call of this task: {said}. {_SAME_KEY}"
        case _:
            code, message = "STRIPE_ERROR", f"Stripe failed with {error.http_status}: {said}. {_SAME_KEY}"
    return TaskFailed(code, message, retry_after_seconds=pause)


def _without_secrets(text: str, secret_key: str) -> str:
    return _SECRETS.sub("[hidden]", text.replace(secret_key, "[hidden]"))[:_MESSAGE_LENGTH]


def _retry_after_seconds(error: stripe.StripeError) -> float | None:
    # If the body is not JSON, the package passes the headers as if they were the body.
    headers = error.headers or (error.json_body if isinstance(error.json_body, httpx.Headers) else {})
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value) if value.isdigit() else _seconds_until(value)
    except ValueError:
        return None
    return min(max(seconds, 1.0), _RETRY_AFTER_MAX_SECONDS)


def _seconds_until(http_date: str) -> float:
    moment = parsedate_to_datetime(http_date)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


def _is_serious(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
