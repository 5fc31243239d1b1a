"""Webhook signatures: signs events and verifies received ones.

The signed text follows Stripe (https://docs.stripe.com/webhooks#verify-manually): the timestamp, a dot, and the raw
bytes of the body; the signature is ``v1=`` and the HMAC-SHA256 in hexadecimal. The header names are those of Standard
Webhooks (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md), whose own
signature is different: a receiver built for it needs this verification instead.

The timestamp is that of the attempt, so a replay is refused after the tolerance. ``Webhook-Id`` is not signed: a
receiver that deduplicates must use ``event_id`` in the body, which is.
"""

import hashlib
import hmac
import re
from enum import StrEnum

ID_HEADER = "Webhook-Id"  # the event's id, the same at every attempt
TIMESTAMP_HEADER = "Webhook-Timestamp"  # time of this attempt, seconds since 1970 in UTC
SIGNATURE_HEADER = "Webhook-Signature"
TOLERANCE_SECONDS = 300

_SCHEME = "v1="
# One canonical notation, so that no two signed texts collide.
_TIMESTAMP = re.compile(r"0|[1-9][0-9]{0,11}", re.ASCII)
_BETWEEN_SIGNATURES = re.compile(r"[,\s]+")


class Verdict(StrEnum):
    """The result of a verification: valid, or the first reason why not."""

    VALID = "valid"
    MISSING_HEADER = "missing header"
    BAD_FORMAT = "bad format"
    WRONG_SIGNATURE = "wrong signature"
    TOO_OLD = "too old"
    TOO_NEW = "too new"


def check_secret(secret: str) -> None:
    """Raise ValueError for an empty secret."""
    if not secret:
        raise ValueError("The webhook secret is empty, so anybody could sign: set WEBHOOK_SECRET")


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The value of ``Webhook-Signature`` for a body sent at ``timestamp`` (seconds since 1970).

    Raises ValueError for an empty secret.
    """
    check_secret(secret)
    signed = f"{timestamp}.".encode() + body
    return _SCHEME + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def verify(
    secret: str,
    timestamp: str | None,
    signatures: str | None,
    body: bytes,
    now: float,
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> Verdict:
    """Verify that ``body`` was signed with ``secret`` no longer than ``tolerance_seconds`` ago.

    ``timestamp`` and ``signatures`` are header values, None if missing. Several signatures may be separated by commas
    or spaces, as during a secret rotation: one valid one suffices, and unknown schemes are skipped. Compares in
    constant time.
    """
    if not timestamp or not signatures:
        return Verdict.MISSING_HEADER
    signed_at = read_timestamp(timestamp)
    given = [part for part in _BETWEEN_SIGNATURES.split(signatures) if part.startswith(_SCHEME)]
    if signed_at is None or not given:
        return Verdict.BAD_FORMAT
    good = sign(secret, signed_at, body).encode()
    matches = [hmac.compare_digest(good, part.encode("utf-8", "replace")) for part in given]
    if not any(matches):
        return Verdict.WRONG_SIGNATURE
    if now - signed_at > tolerance_seconds:
        return Verdict.TOO_OLD
    return Verdict.TOO_NEW if signed_at - now > tolerance_seconds else Verdict.VALID


def read_timestamp(text: str) -> int | None:
    """Parse a ``Webhook-Timestamp`` (seconds since 1970); None unless written as ``sign`` signs it."""
    return int(text) if _TIMESTAMP.fullmatch(text) else None
