"""Accepts write requests into the journal with group commit."""

import hashlib
from collections.abc import Callable, Sequence
from enum import StrEnum

from afterwrite.base.group_commit import GroupCommit
from afterwrite.base.refusals import Problem, Refused
from afterwrite.base.store_errors import StoreError, log_and_redact
from afterwrite.resources import first_version
from afterwrite.resources.write import Operation, Write, WriteRequest, size_bytes
from afterwrite.storage.write_store import Asked, Full, KeyUse, Taken


class Refusal(StrEnum):
    """Why a request was refused."""

    QUEUE_FULL = "QUEUE_FULL"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    JOURNAL_UNWRITABLE = "JOURNAL_UNWRITABLE"


class NotAcceptedError(Refused):
    """Nothing of the request was accepted; the message says why and what to do."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__([Problem(None, message, refusal.value)])
        self.refusal = refusal


class Acceptor:
    """Accepts requests from any thread; concurrent requests share a commit, in arrival order."""

    def __init__(self, take: Callable[[Sequence[Asked]], list[Taken]], max_writes: int, max_bytes: int) -> None:
        """``take`` appends requests to the journal in one commit, in order."""
        self._take, self._max_writes, self._max_bytes = take, max_writes, max_bytes
        self._group: GroupCommit[Asked, list[Write] | KeyUse | Full] = GroupCommit(self._commit)
        self._closed = False
        self.trouble: str | None = None  # why the last commit failed

    def accept(self, requests: Sequence[WriteRequest], key: str | None, by: str | None) -> list[Write] | KeyUse:
        """Journal the requests of the caller ``by`` in one commit, in order, all or none; return their writes.

        The writes are then on disk as JOURNAL_SYNC promises. Returns the KeyUse instead if the same request was
        accepted with this key before. Raises NotAcceptedError.
        """
        asked = _asked(requests, key, by)
        try:
            taken = self._group.run(asked)
        except StoreError as error:
            raise NotAcceptedError(Refusal.JOURNAL_UNWRITABLE, log_and_redact(error)) from error
        if isinstance(taken, Full):
            raise NotAcceptedError(
                Refusal.QUEUE_FULL,
                f"The queue is full: {taken.writes:,} writes of {taken.size_bytes:,} bytes wait, {self._max_writes:,} "
                f"writes and {self._max_bytes:,} bytes are the limits. Nothing was accepted; send this again later",
            )
        if isinstance(taken, KeyUse) and taken.fingerprint != asked.fingerprint:
            raise NotAcceptedError(
                Refusal.IDEMPOTENCY_KEY_REUSED,
                f"The idempotency key {taken.key!r} was used for other arguments (write {taken.first_write_id}): "
                "use a new key for a new request",
            )
        return taken

    def probe(self) -> None:
        """After a failed commit, test the journal with an empty one."""
        with self._group.turn:
            if self.trouble is None or self._closed:
                return
            try:
                self._take([])
            except Exception as error:  # noqa: BLE001 - the next probe tries again
                self.trouble = str(error)
            else:
                self.trouble = None

    def close(self) -> None:
        """Refuse new requests; when this returns, no commit is under way."""
        with self._group.turn:
            self._closed = True

    def _commit(self, asked: Sequence[Asked]) -> list[Taken]:
        if self._closed:
            raise NotAcceptedError(
                Refusal.SHUTTING_DOWN, "The server is shutting down and accepts no writes: send this again shortly"
            )
        try:
            taken = self._take(asked)
        except Exception as error:
            self.trouble = str(error)
            raise
        errors = [one for one in taken if isinstance(one, Exception)]
        if errors:
            self.trouble = str(errors[0])
        elif any(isinstance(one, list) and one for one in taken):
            self.trouble = None
        return taken


def _asked(requests: Sequence[WriteRequest], key: str | None, by: str | None) -> Asked:
    for request in requests:
        if request.record_id is None and request.operation not in (Operation.CREATE, Operation.UPSERT):
            raise ValueError(f"{request.operation} needs a record id")
    size = sum(size_bytes(request.arguments) for request in requests)
    return Asked(requests, by, key, _fingerprint(requests) if key else "", size)


def _fingerprint(requests: Sequence[WriteRequest]) -> str:
    """The fingerprint of requests with an idempotency key. Never change it: keys outlive releases."""
    digest = hashlib.sha256()
    for request in requests:
        if request.resource != first_version.RESOURCE:
            digest.update(f"{request.resource}\0".encode())
        digest.update(f"{request.operation}\0{request.record_id}\0{request.retry_of}\0".encode())
        compared = request.arguments if request.compared is None else request.compared
        digest.update(f"{compared}\0".encode())
        if request.if_version is not None:
            digest.update(f"version {request.if_version}\0".encode())
    return digest.hexdigest()
