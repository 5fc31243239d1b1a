"""Runs demo tasks on the running server and shows their progress: ``python -m devkit.task_demo``."""

import os
import shutil
import sys
from collections.abc import Generator, Iterator, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any, TextIO

from devkit.ask import ask, authorization, value_of, watch
from devkit.errors import CommandError, run
from devkit.health import health
from devkit.place import Place, place_from_environment

_BAR_WIDTH = 12
_PAYMENTS = ("customer", "payment", "refund")
_ENTRIES = ("entry 1", "entry 2", "entry 3")
_CUSTOMER = """mutation { createStripeCustomerTask(email: "demo@example.com", name: "Demo Customer") { id } }"""
_PAYMENT = """mutation($customer: String!) {
  createStripePaymentTask(amount: 4999, currency: "eur", customerId: $customer, description: "Demo") { id } }"""
_REFUND = """mutation($payment: String!) { createStripeRefundTask(paymentIntentId: $payment, amount: 1999) { id } }"""
_ENTRY = "mutation($title: String!) { createEntry(title: $title) { id } }"
_UPDATES = """subscription($id: ID!) {
  taskUpdated(id: $id) { id status progress stage result error { code message } } }"""
_NOT_BEGUN = {"status": "", "progress": 0, "stage": None, "result": None, "error": None}
_ENDED = {"COMPLETED", "FAILED", "CANCELLED"}

Task = dict[str, Any]
Flow = Generator[tuple[str, Task], None, Task]
"""Runs tasks one after the other: yields each state with the label of its task, and returns the last one."""


class Board:
    """One line per task: redrawn in place on a terminal, otherwise appended at every change."""

    def __init__(self, labels: Sequence[str], out: TextIO) -> None:
        # Windows consoles may print the escape sequences.
        plain = sys.platform == "win32" or os.environ.get("TERM") == "dumb"
        self._out, self._live = out, out.isatty() and not plain
        self._lines = {label: _line(label, _NOT_BEGUN) for label in labels}
        self._is_drawn = False

    def show(self, label: str, task: Task) -> None:
        """Show the current state of a task."""
        line = _line(label, task)
        if self._lines[label] == line:
            return
        self._lines[label] = line
        if not self._live:
            self.note(line)
            return
        # A wrapped line would break the cursor movement, which counts lines.
        width = shutil.get_terminal_size().columns - 1
        up = f"\x1b[{len(self._lines)}A" if self._is_drawn else ""
        self._out.write(up + "".join(f"\x1b[2K{line[:width]}\n" for line in self._lines.values()))
        self._out.flush()
        self._is_drawn = True

    def note(self, line: str) -> None:
        """Write a line below."""
        self._out.write(f"{line}\n")
        self._out.flush()


def show_tasks(place: Place, out: TextIO) -> bool:
    """Run a customer, a payment and a refund in sequence, and three entries in parallel.

    With a live Stripe key, which would charge real money, runs only the entries. Returns whether all completed.
    Raises CommandError if no server answers.
    """
    is_live = _pays_for_real(place)
    labels = _ENTRIES if is_live else (*_PAYMENTS, *_ENTRIES)
    flows = [_run(place, label, _ENTRY, title=f"Demo {label}") for label in _ENTRIES]
    flows += [] if is_live else [_payments(place)]
    board = Board(labels, out)
    last: dict[str, Task] = {}
    for label, task in _events(flows):
        board.show(label, task)
        last[label] = task
    if is_live:
        board.note("STRIPE_SECRET_KEY is a live key: no customer was made and nothing was paid")
    for line in _notes(last):
        board.note(line)
    return all(last.get(label, _NOT_BEGUN)["status"] == "COMPLETED" for label in labels)


def _pays_for_real(place: Place) -> bool:
    stripe = (health(place, headers=authorization()) or {}).get("integrations", {}).get("stripe", {})
    return bool(stripe.get("mode") == "live")


def _events(flows: Sequence[Flow]) -> Iterator[tuple[str, Task]]:
    """Run all flows in parallel and yield the states of their tasks."""
    events: SimpleQueue[tuple[str, Task] | CommandError | None] = SimpleQueue()
    for flow in flows:  # daemons, so that Ctrl-C does not wait for them
        Thread(target=_pass_on, args=(flow, events), daemon=True).start()
    for _ in flows:
        while (event := events.get()) is not None:
            if isinstance(event, CommandError):
                raise event
            yield event


def _pass_on(flow: Flow, events: "SimpleQueue[Any]") -> None:
    try:
        for event in flow:
            events.put(event)
    except CommandError as error:
        events.put(error)
    finally:
        events.put(None)


def _payments(place: Place) -> Flow:
    task = yield from _run(place, "customer", _CUSTOMER)
    if task["status"] == "COMPLETED":
        task = yield from _run(place, "payment", _PAYMENT, customer=task["result"]["customer_id"])
        if task["status"] == "COMPLETED":
            task = yield from _run(place, "refund", _REFUND, payment=task["result"]["payment_intent_id"])
    return task


def _run(place: Place, label: str, document: str, **variables: str) -> Flow:
    """Create a task and yield its states until it ends."""
    task: Task = value_of(ask(place, document, dict(variables)), f"the server rejected the {label}")
    for event in watch(place, _UPDATES, {"id": task["id"]}):
        task = value_of(event, f"the event stream of the {label} failed")
        yield label, task
    if task.get("status") not in _ENDED:
        raise CommandError(
            f"the event stream of the {label} closed before the task ended: check that the server still runs"
        )
    return task


def _line(label: str, task: Task) -> str:
    done = task["progress"] * _BAR_WIDTH // 100
    bar = "#" * done + "." * (_BAR_WIDTH - done)
    text = _outcome(task) if task["error"] or task["status"] in _ENDED else task["stage"] or ""
    return f"  {label:<8} [{bar}] {task['progress']:>3} % {task['status']:<10} {text}".rstrip()


def _outcome(task: Task) -> str:
    if task["error"]:
        return str(task["error"]["code"])
    result = task["result"] or {}
    names = ("refund_id", "payment_intent_id", "customer_id")
    return next((str(result[name]) for name in names if name in result), "")


def _notes(last: dict[str, Task]) -> Iterator[str]:
    """Yield details that do not fit into the lines of the tasks."""
    for label, task in last.items():
        if task["error"]:
            yield f"The {label} ended {task['status']}, {task['error']['code']}: {task['error']['message']}"
    if any((task["result"] or {}).get("simulated") for task in last.values()):
        yield "The payments were simulated: no STRIPE_SECRET_KEY is set"


def main(_: list[str]) -> int:
    """Run the tasks on the server at HOST and PORT; return the exit code."""
    try:
        return 0 if show_tasks(place_from_environment(), sys.stdout) else 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    run(main)
