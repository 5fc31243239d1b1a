"""Group commit: callers that arrive during a commit share the next one. Standard library only."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Batch(Generic[Item, Result]):
    """The items of one commit in arrival order, and the outcome of each."""

    __slots__ = ("followers", "items", "outcomes")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.outcomes: Sequence[Result | BaseException] = ()
        self.followers: list[threading.Lock] = []
        """One for each follower, which waits for its release: an event would wake all of them for the same lock."""


class GroupCommit(Generic[Item, Result]):
    """Commits items from any thread in batches, in arrival order.

    The first caller of a batch is its leader: it waits for the previous commit, closes the batch and commits it for the
    followers that joined meanwhile. Only leaders wait for ``turn``, so that collecting outcomes never delays the next
    commit.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Result | BaseException]]) -> None:
        """``commit`` takes the items of a batch and returns one outcome each, in order; called by one thread at a time.

        An outcome that is an exception is raised to the caller of that item; an exception from ``commit`` is raised to
        every caller of the batch.
        """
        self._commit = commit
        self._arrival = threading.Lock()  # guards the open batch: items join it, or the leader closes it
        self._open: _Batch[Item, Result] = _Batch()
        self.turn = threading.Lock()
        """Held during each commit; acquire it to act between two commits."""

    def run(self, item: Item) -> Result:
        """Return the result of ``item`` once its batch is committed, or raise its error."""
        finished = threading.Lock()
        with self._arrival:
            batch = self._open
            place = len(batch.items)
            batch.items.append(item)
            if place:
                finished.acquire()
                batch.followers.append(finished)
        if place == 0:
            self._lead(batch)
        else:
            finished.acquire()
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
        except BaseException as error:  # noqa: BLE001 - raised in every thread of the batch
            self._close(batch)  # still open if the wait for the turn was interrupted
            batch.outcomes = [error] * len(batch.items)
        for finished in batch.followers:
            finished.release()

    def _close(self, batch: _Batch[Item, Result]) -> None:
        with self._arrival:
            if self._open is batch:
                self._open = _Batch()
