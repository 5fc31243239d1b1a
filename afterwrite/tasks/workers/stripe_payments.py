"""The Stripe worker: customers, payments and refunds, simulated while no key is set."""

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from afterwrite.tasks.retry import RetryPolicy
from afterwrite.tasks.stripe_amounts import AMOUNT_MAX, check_amount
from afterwrite.tasks.task import Task
from afterwrite.tasks.worker import BaseWorker, Schema, TaskContext, TaskFailed

if TYPE_CHECKING:
    from afterwrite.tasks.stripe_calls import StripeDesk

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
    """Creates customers, charges and refunds cards; a retried attempt never charges twice.

    Amounts are integers in minor units (cents) of the currency, of up to twelve digits. A payment is created and
    confirmed in one call, by card only (no redirects) and off session: the customer is not present to authenticate. A
    card that requires it fails permanently with CARD_ACTION_REQUIRED and is not charged; a result would look like
    money. ``payment_method`` defaults to ``pm_card_visa``, Stripe's test card; with a live key it is mandatory.

    Results: ``{"simulated", "customer_id"}``; ``{"simulated", "payment_intent_id", "charge_id", "status", "amount",
    "currency", "customer_id"}`` with status ``succeeded``, or ``processing`` until the bank decides; ``{"simulated",
    "refund_id", "payment_intent_id", "status", "amount", "currency"}`` with status ``succeeded`` or ``pending``. For a
    full refund, the simulation knows neither amount nor currency: both are null.

    Final failures: CARD_DECLINED, CARD_ACTION_REQUIRED, PAYMENT_METHOD_REQUIRED, PAYMENT_INCOMPLETE, REFUND_FAILED,
    STRIPE_REFUSED, STRIPE_KEY_REUSED, STRIPE_OUTCOME_UNKNOWN (the idempotency key may have expired). Retried:
    STRIPE_BUSY, STRIPE_RATE_LIMITED, STRIPE_UNREACHABLE, STRIPE_ERROR, and STRIPE_NOT_ALLOWED (a wrong key; every five
    minutes, until the operator corrects it). A failure is never final if the call may have taken effect, because
    ``retryTask`` after a final error uses a new idempotency key (https://docs.stripe.com/error-low-level). A cancel
    during the call comes too late: the call finishes and is recorded.
    """

    types = {
        CREATE_CUSTOMER: _object(
            ["email", "name"],
            email={"type": "string", "maxLength": 254, "pattern": r"^[^@\s]+@[^@\s]+$", "not": {"pattern": r"\s"}},
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
        """An empty key simulates; an empty base address is Stripe's own; ``call_seconds`` is the timeout of a call.

        Raises ValueError for a key that cannot be sent, without quoting it.
        """
        self._secret_key = secret_key.strip()
        if re.search("[^!-~]", self._secret_key):
            raise ValueError(
                "STRIPE_SECRET_KEY contains a space, a line break or another character that no key has: copy it again"
            )
        self._api_base = api_base.rstrip("/") or _API_BASE
        self._desk = self._open_desk(call_seconds)

    async def execute_task(self, task: Task, context: TaskContext) -> dict[str, Any]:
        """Make the task's call. Raises TaskFailed, with no secret in its message."""
        self._desk.check(task, context)
        await context.progress(10, self._desk.stage)  # the last chance to cancel
        return await self._desk.call(task, context)

    def health(self) -> Mapping[str, Any]:
        """``{"status": "simulated"}``, or ``{"status": "configured", "mode": "live" or "test", "host"}``."""
        if not self._secret_key:
            return {"status": "simulated"}
        mode = "live" if _is_live(self._secret_key) else "test"
        return {"status": "configured", "mode": mode, "host": urlsplit(self._api_base).hostname}

    async def close(self) -> None:
        await self._desk.close()

    def _open_desk(self, call_seconds: float) -> "StripeDesk | _SimulatedDesk":
        if not self._secret_key:
            return _SimulatedDesk()
        # Imported only with a key: the package and its dependencies cost time and memory.
        from afterwrite.tasks.stripe_calls import StripeDesk

        test_payment_method = None if _is_live(self._secret_key) else TEST_PAYMENT_METHOD
        return StripeDesk(self._secret_key, self._api_base, call_seconds, test_payment_method)


class _SimulatedDesk:
    """Simulates Stripe from the payload alone; a task gets the same ids at every attempt.

    It refuses the same amounts and currencies as Stripe. A refund has no currency, so its amount is not checked.
    """

    stage = SIMULATING

    def check(self, task: Task, context: TaskContext) -> None:
        """Accept every task: simulated keys do not expire."""

    async def call(self, task: Task, context: TaskContext) -> dict[str, Any]:
        work = {
            CREATE_CUSTOMER: self._create_customer,
            CREATE_PAYMENT: self._create_payment,
            REFUND_PAYMENT: self._refund_payment,
        }[task.type]
        return await work(task.payload, context)

    async def close(self) -> None:
        """Do nothing: there are no connections."""

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
