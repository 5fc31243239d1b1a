"""Makes customers, payments and refunds at Stripe; while there is no key it simulates them, and says so."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from afterwrite.tasks.retry import RetryPolicy
from afterwrite.tasks.stripe_amounts import AMOUNT_MAX, check_amount
from afterwrite.tasks.task import Task
from afterwrite.tasks.worker import BaseWorker, Schema, TaskContext, TaskFailed

CREATE_CUSTOMER = "stripe_create_customer"
CREATE_PAYMENT = "stripe_create_payment"
REFUND_PAYMENT = "stripe_refund_payment"
SIMULATING = "SIMULATING_STRIPE"
_API_BASE = "https://api.stripe.com"
TEST_PAYMENT_METHOD = "pm_card_visa"  # see https://docs.stripe.com/testing?testing-method=payment-methods

_AMOUNT = {"type": "integer", "minimum": 1, "maximum": AMOUNT_MAX}


def _object(required: list[str], **properties: Schema) -> Schema:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def _id(prefix: str) -> Schema:
    return {"type": "string", "maxLength": 255, "pattern": rf"^{prefix}_\w+$", "not": {"pattern": r"\s"}}


class StripeWorker(BaseWorker):
    """Creates customers, takes card payments and refunds them; a repeated attempt never charges twice.

    Amounts are whole minor units (cents) of the currency, of up to twelve digits. A payment is created and confirmed in
    one call, with cards only (no redirects) and off session: the customer is not there to authenticate. So a
    card that wants one fails for good with CARD_ACTION_REQUIRED, and nothing is charged: a result would look like
    money.
    ``payment_method`` is ``pm_card_visa`` if it is left out, Stripe's test card; with a live key it must be given.

    Results: ``{"simulated", "customer_id"}``; ``{"simulated", "payment_intent_id", "charge_id", "status", "amount",
    "currency", "customer_id"}``, status ``succeeded``, or ``processing`` while the bank still has to say;
    ``{"simulated", "refund_id", "payment_intent_id", "status", "amount", "currency"}``, status ``succeeded`` or
    ``pending``. A simulation knows neither amount nor currency of a whole refund: they are null.

    Failures. Final: CARD_DECLINED, CARD_ACTION_REQUIRED, PAYMENT_METHOD_REQUIRED, PAYMENT_INCOMPLETE, REFUND_FAILED,
    STRIPE_REFUSED, STRIPE_KEY_REUSED, STRIPE_OUTCOME_UNKNOWN (the idempotency key is too old to be relied on).
    Tried again: STRIPE_BUSY, STRIPE_RATE_LIMITED, STRIPE_UNREACHABLE, STRIPE_ERROR, and STRIPE_NOT_ALLOWED (a wrong
    key, after five minutes each time, for the operator to mend it). What may have been done is never final:
    ``retryTask`` after a final error uses a new idempotency key (https://docs.stripe.com/error-low-level).
    A cancel that comes during the call is too late: the call ends and is recorded.
    """

    types = {
        CREATE_CUSTOMER: _object(
            ["email", "name"],
            email={
                "type": "string",
                "maxLength": 254,
                "pattern": r"^[^@\s]+@[^@\s]+$",
                "not": {"pattern": r"\s"},
            },
            name={"type": "string", "minLength": 1, "maxLength": 256, "pattern": r"\S"},
        ),
        CREATE_PAYMENT: _object(
            ["amount", "currency", "customer_id"],
            amount=_AMOUNT,
            currency={"type": "string", "pattern": "^[A-Za-z]{3}$", "maxLength": 3},
            customer_id=_id("cus"),
            description={"type": "string", "maxLength": 1000},
            payment_method=_id("(pm|card|src)"),
        ),
        REFUND_PAYMENT: _object(["payment_intent_id"], payment_intent_id=_id("pi"), amount=_AMOUNT),
    }
    service = "stripe"
    retry = RetryPolicy(max_attempts=6, first_seconds=2.0, factor=3.5, longest_seconds=300.0)

    def __init__(self, secret_key: str, api_base: str, *, call_seconds: float = 60.0) -> None:
        """Give an empty key to simulate, an empty base address for Stripe's own; a call ends after call_seconds.

        Raises ValueError for a key that cannot be sent, without quoting it.
        """
        self._secret_key = secret_key.strip()
        if re.search("[^!-~]", self._secret_key):
            raise ValueError(
                "STRIPE_SECRET_KEY has a space, a line break or the like within it: copy the key again"
            )
        self._api_base = api_base.rstrip("/") or _API_BASE
        self._desk = self._open_desk(call_seconds)

    async def execute_task(self, task: Task, context: TaskContext) -> dict[str, Any]:
        """Make the one call that the task is for. Raises TaskFailed, with no secret in its message."""
        self._desk.check(task, context)
        await context.progress(10, self._desk.stage)  # the last moment for a cancel
        return await self._desk.call(task, context)

    def health(self) -> Mapping[str, Any]:
        """``{"status": "simulated"}``, or ``{"status": "configured", "mode": "live" or "test", "host"}``."""
        if not self._secret_key:
            return {"status": "simulated"}
        mode = "live" if _is_live(self._secret_key) else "test"
        return {"status": "configured", "mode": mode, "host": urlsplit(self._api_base).hostname}

    async def close(self) -> None:
        """Close the connections to Stripe."""
        await self._desk.close()

    def _open_desk(self, call_seconds: float) -> "_Desk":
        if not self._secret_key:
            return _SimulatedDesk()
        # Only where there is a key: the package and what it brings along take time and memory.
        from afterwrite.tasks.stripe_calls import StripeDesk

        test_payment_method = None if _is_live(self._secret_key) else TEST_PAYMENT_METHOD
        return StripeDesk(self._secret_key, self._api_base, call_seconds, test_payment_method)


class _Desk(Protocol):
    stage: str

    def check(self, task: Task, context: TaskContext) -> None: ...

    async def call(self, task: Task, context: TaskContext) -> dict[str, Any]: ...

    async def close(self) -> None: ...


class _SimulatedDesk:
    """Answers as Stripe would, from nothing but the payload; the same task gets the same ids at every attempt.

    It refuses the amounts and currencies that Stripe refuses. A refund names no currency, so its amount is not checked.
    """

    stage = SIMULATING

    def check(self, task: Task, context: TaskContext) -> None:
        """Nothing is ever too old."""

    async def call(self, task: Task, context: TaskContext) -> dict[str, Any]:
        work = {
            CREATE_CUSTOMER: self._create_customer,
            CREATE_PAYMENT: self._create_payment,
            REFUND_PAYMENT: self._refund_payment,
        }[task.type]
        return await work(task.payload, context)

    async def close(self) -> None:
        """There is nothing to close."""

    async def _create_customer(self, payload: Any, context: TaskContext) -> dict[str, Any]:
        return {"simulated": True, "customer_id": await self._made("cus", context)}

    async def _create_payment(self, payload: Any, context: TaskContext) -> dict[str, Any]:
        method = payload.get("payment_method", TEST_PAYMENT_METHOD)
        check_amount(int(payload["amount"]), payload["currency"], method)
        if "chargeDeclined" in method or method == "pm_card_chargeCustomerFail":
            raise TaskFailed("CARD_DECLINED", f"The simulation declined the test card {method}", final=True)
        return {
            "simulated": True,
            "payment_intent_id": await self._made("pi", context),
            "charge_id": _simulated_id("ch", context),
            "status": "succeeded",
            "amount": int(payload["amount"]),
            "currency": payload["currency"].lower(),
            "customer_id": payload["customer_id"],
        }

    async def _refund_payment(self, payload: Any, context: TaskContext) -> dict[str, Any]:
        return {
            "simulated": True,
            "refund_id": await self._made("re", context),
            "payment_intent_id": payload["payment_intent_id"],
            "status": "succeeded",
            "amount": int(payload["amount"]) if "amount" in payload else None,
            "currency": None,
        }

    async def _made(self, prefix: str, context: TaskContext) -> str:
        for percent in (40, 70):
            await context.sleep(0.05)
            await context.progress(percent)
        return _simulated_id(prefix, context)


def _is_live(secret_key: str) -> bool:
    return secret_key.startswith(("sk_live_", "rk_live_"))


def _simulated_id(prefix: str, context: TaskContext) -> str:
    return f"{prefix}_sim_{hashlib.sha256(context.key(prefix).encode()).hexdigest()[:24]}"
