"""A webhook receiver for testing: verifies signatures and stores requests with their verdicts."""

import json
import time
from collections.abc import Callable, Mapping

from afterwrite.base.text import storable
from afterwrite.storage.received import KEPT, Received, ReceivedWebhooks
from afterwrite.webhooks.signing import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Verdict,
    check_secret,
    read_timestamp,
    verify,
)

BODY_KEPT_BYTES = 64 * 1024
_NAME_KEPT_CHARACTERS = 200


class Receiver:
    """Stores every request, including repeated events and bad signatures.

    Every method is safe to call from any thread and raises StoreError when the database is unavailable.
    """

    def __init__(self, secret: str, store: ReceivedWebhooks, *, clock: Callable[[], float] = time.time) -> None:
        """Raises ValueError for an empty secret."""
        check_secret(secret)
        self._secret, self._store, self._clock = secret, store, clock
        self.last_kept = 0  # changes with every received webhook

    def receive(self, headers: Mapping[str, str], body: bytes) -> Received:
        """Verify and store a POST. Answer 401 unless its ``verdict`` is ``Verdict.VALID``.

        ``headers`` may be in any case; ``body`` is the raw bytes, for re-encoded JSON has another signature. Up to 64
        KiB of the body are stored.
        """
        given = {name.lower(): value for name, value in headers.items()}
        now = self._clock()
        event_id, timestamp, signatures = (
            given.get(name.lower()) for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
        )
        verdict = verify(self._secret, timestamp, signatures, body, now) if event_id else Verdict.MISSING_HEADER
        kept = self._store.keep(
            Received(
                id=0,
                received_at_us=int(now * 1_000_000),
                event_id=_kept_name(event_id),
                correlation_id=_correlation_id(body),
                timestamp=read_timestamp(timestamp) if timestamp else None,
                verdict=verdict.value,
                body=_kept_text(body),
            )
        )
        self.last_kept = kept.id
        return kept

    def poll(self) -> None:
        """Poll for webhooks received by other processes."""
        self.last_kept = self._store.last_id()

    def newest(self, limit: int = KEPT) -> list[Received]:
        """The latest webhooks, newest first, at most a hundred."""
        return self._store.newest(limit)


def _correlation_id(body: bytes) -> str | None:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):  # not JSON, or nested too deeply to be an event
        return None
    return _kept_name(event.get("correlation_id")) if isinstance(event, dict) else None


def _kept_name(given: object) -> str | None:
    if not isinstance(given, str):
        return None
    return storable(given[:_NAME_KEPT_CHARACTERS])


def _kept_text(body: bytes) -> str:
    text = body[:BODY_KEPT_BYTES].decode("utf-8", "replace").replace("\0", "\ufffd")
    # Replacement characters made invalid text longer.
    return text.encode()[:BODY_KEPT_BYTES].decode("utf-8", "ignore")
