"""Group commit: callers that arrive while a commit is under way share the next one. Standard library only."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Batch(Generic[Item, Result]):
    """The items of one commit in the order of their arrival, and what came of each."""

    __slots__ = ("finished", "items", "outcomes")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.outcomes: Sequence[Result | BaseException] = ()
        self.finished = threading.Event()


class GroupCommit(Generic[Item, Result]):
    """Commits the items of callers from any thread in batches, in the order of their arrival.

    The first caller of a batch is its leader. It waits for the commit before, closes its batch and commits it for
    the followers that joined meanwhile. Only leaders wait for ``turn``: followers that took it in turn to see their
    outcome would hold up the next commit, and be held up by it.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Result | BaseException]]) -> None:
        """``commit`` gets the items of a batch and returns an outcome for each, in their order.

        An outcome that is an exception is raised for the caller of its item alone; what ``commit`` raises is raised
        for every caller of the batch. It is called by one thread at a time.
        """
        self._commit = commit
        self._arrival = threading.Lock()  # an item joins the open batch, or the batch is closed
        self._open: _Batch[Item, Result] = _Batch()
        self.turn = threading.Lock()
        """Held during each commit; hold it to act between two commits."""

    def run(self, item: Item) -> Result:
        """Return the result of ``item`` once its batch is committed; raises its error."""
        with self._arrival:
            batch = self._open
            place = len(batch.items)
            batch.items.append(item)
        if place == 0:
            self._lead(batch)
        else:
            batch.finished.wait()
        outcome = batch.outcomes[place]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _lead(self, batch: _Batch[Item, Result]) -> None:
        try:
            with self.turn:
                self._close(batch)
                outcomes = self._commit(batch.items)
            if len(outcomes) != len(batch.items):
                raise ValueError(f"A commit of {len(batch.items)} items has {len(outcomes)} outcomes")
            batch.outcomes = outcomes
        except BaseException as error:  # noqa: BLE001 - it is raised in every thread of its batch
            self._close(batch)  # still open where the wait for the turn was interrupted
            batch.outcomes = [error] * len(batch.items)
        batch.finished.set()

    def _close(self, batch: _Batch[Item, Result]) -> None:
        with self._arrival:
            if self._open is batch:
                self._open = _Batch()
