"""Runs write transactions; callers from any thread share a commit."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from database.driver import DriverConnection
from database.schema import StoreError

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Ticket:
    work: Callable[[DriverConnection], Any]
    done: bool = False
    result: Any = None
    error: BaseException | None = None


class Commits:
    """The one way to write a database: who has the turn runs the work of all that wait, in one transaction.

    So many callers share one fsync. What raises is undone alone: then the transaction is rolled back and each
    work is run in one of its own. A work may therefore be run twice and must touch nothing but its connection.
    """

    def __init__(self, connect: Callable[[], DriverConnection]) -> None:
        """``connect`` gives connections whose transactions are the only writers while they last."""
        self._connect = connect
        self._connection: DriverConnection | None = None
        self._arrived: deque[_Ticket] = deque()
        self._turn = threading.Lock()

    def run(self, work: Callable[[DriverConnection], T]) -> T:
        """Run ``work`` in a transaction and return what it returns, on disk; raises what it raises."""
        ticket = _Ticket(work)
        self._arrived.append(ticket)
        with self._turn:
            if not ticket.done:
                self._commit(self._take_arrived())
        if ticket.error is not None:
            raise ticket.error
        result: T = ticket.result
        return result

    def close(self) -> None:
        """Wait for the transaction under way and close the connection."""
        with self._turn:
            self._disconnect()

    def _take_arrived(self) -> list[_Ticket]:
        tickets = []
        while self._arrived:
            tickets.append(self._arrived.popleft())
        return tickets

    def _commit(self, tickets: list[_Ticket]) -> None:
        try:
            connection = self._connection = self._connection or self._connect()
            with connection.transaction():
                results = [ticket.work(connection) for ticket in tickets]
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that it belongs to
            self._disconnect()  # after an error its state is not worth knowing
            # A database that cannot be used is so for all of them; anything else concerns one of them.
            if len(tickets) > 1 and not isinstance(error, StoreError):
                for ticket in tickets:
                    self._commit([ticket])
                return
            for ticket in tickets:
                ticket.error = error
        else:
            for ticket, result in zip(tickets, results, strict=True):
                ticket.result = result
        for ticket in tickets:
            ticket.done = True

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
