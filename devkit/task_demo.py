"""Runs tasks on the running server and shows their progress until they end, as ``python -m devkit.task_demo``."""

import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TextIO

from devkit.ask import ask, watch
from devkit.errors import CommandError
from devkit.place import Place, place_from_environment

_BAR_WIDTH = 24
_CUSTOMER = (
    """mutation { createStripeCustomerTask(email: "demo@example.com", name: "Demo Customer") { id } }"""
)
_PAYMENT = """mutation($customer: String!) {
  createStripePaymentTask(amount: 4999, currency: "eur", customerId: $customer, description: "Demo") { id } }"""
_REFUND = """mutation($payment: String!) { createStripeRefundTask(paymentIntentId: $payment, amount: 1999) { id } }"""
_ENTRY = "mutation($title: String!) { createEntry(title: $title) { id } }"
_UPDATES = """subscription($id: ID!) {
  taskUpdated(id: $id) { id status progress stage result error { code message } } }"""


class Board:
    """A line for each task: redrawn in place on a terminal, else appended with every change."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._live = out, out.isatty()
        self._lines: dict[str, str] = {}
        self._lock = threading.Lock()

    def show(self, label: str, task: dict[str, Any]) -> None:
        """Show a task as it is now."""
        done = task["progress"] * _BAR_WIDTH // 100
        bar = "#" * done + "." * (_BAR_WIDTH - done)
        stage = task["stage"] or ""
        line = f"  {label:<12} [{bar}] {task['progress']:>3} %  {task['status']:<10} {stage:<18} {_outcome(task)}"
        with self._lock:
            drawn = len(self._lines)
            if self._lines.get(label) == line:
                return
            self._lines[label] = line.rstrip()
            if self._live:
                up = f"\x1b[{drawn}A" if drawn else ""
                self._out.write(up + "".join(f"\x1b[2K{text}\n" for text in self._lines.values()))
            else:
                self._out.write(f"{self._lines[label]}\n")
            self._out.flush()


def show_tasks(place: Place, out: TextIO) -> bool:
    """Run a customer, a payment and a refund one after the other, and three entries beside them.

    Returns whether all of them were completed. Raises CommandError if no server answers.
    """
    board = Board(out)

    def run(label: str, document: str, **variables: str) -> dict[str, Any]:
        fine, answer = ask(place, document, dict(variables))
        if not fine:
            raise CommandError(f"the server refused {label}: {answer}")
        [created] = json.loads(answer)["data"].values()
        task: dict[str, Any] = {}
        for told, event in watch(place, _UPDATES, {"id": created["id"]}):
            if not told:
                raise CommandError(f"the server stopped telling of {label}: {event}")
            task = json.loads(event)["data"]["taskUpdated"]
            board.show(label, task)
        return task

    def pay() -> list[dict[str, Any]]:
        customer = run("customer", _CUSTOMER)
        if customer["status"] != "COMPLETED":
            return [customer]
        payment = run("payment", _PAYMENT, customer=customer["result"]["customer_id"])
        if payment["status"] != "COMPLETED":
            return [customer, payment]
        return [customer, payment, run("refund", _REFUND, payment=payment["result"]["payment_intent_id"])]

    def enter(number: int) -> Callable[[], list[dict[str, Any]]]:
        return lambda: [run(f"entry {number}", _ENTRY, title=f"Demo entry {number}")]

    with ThreadPoolExecutor(4) as pool:
        ended = [pool.submit(work) for work in (pay, enter(1), enter(2), enter(3))]
        return all(task["status"] == "COMPLETED" for future in ended for task in future.result())


def _outcome(task: dict[str, Any]) -> str:
    if task["error"]:
        return f"{task['error']['code']}: {task['error']['message']}"
    result = task["result"] or {}
    told = [str(result[name]) for name in ("customer_id", "payment_intent_id", "refund_id") if name in result]
    told = told[-1:] + (["simulated, no STRIPE_SECRET_KEY is set"] if result.get("simulated") else [])
    return ", ".join(told)


def main() -> int:
    """Run the tasks against the server of this environment; returns the exit code."""
    try:
        return 0 if show_tasks(place_from_environment(), sys.stdout) else 1
    except CommandError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    sys.exit(main())
