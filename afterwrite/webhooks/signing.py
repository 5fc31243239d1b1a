"""Signs webhook events, and tells whether a signature that came with one is good.

What is signed follows Stripe (https://docs.stripe.com/webhooks#verify-manually): the text of the timestamp, a dot, and
the raw bytes of the body, with HMAC-SHA256 in hexadecimal and ``v1=`` before it. The headers have the names of Standard
Webhooks (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md), whose own
signature is another one: a receiver made for it needs these lines instead.

The timestamp is the moment of the try, so what somebody recorded is refused after the tolerance. ``Webhook-Id`` is not
signed: a receiver that looks for repeats reads ``event_id`` in the body, which is.
"""

import hashlib
import hmac
import re
from enum import StrEnum

ID_HEADER = "Webhook-Id"  # the event's id, the same at every try
TIMESTAMP_HEADER = "Webhook-Timestamp"  # when this try was made, seconds since 1970 in UTC
SIGNATURE_HEADER = "Webhook-Signature"
TOLERANCE_SECONDS = 300

_SCHEME = "v1="
# Written in one way only, so that no byte of a signed text can be another one.
_TIMESTAMP = re.compile(r"0|[1-9][0-9]{0,11}", re.ASCII)
_BETWEEN_SIGNATURES = re.compile(r"[,\s]+")


class Verdict(StrEnum):
    """What became of the check of a signature: good, or the first reason why it is not."""

    VALID = "valid"
    MISSING_HEADER = "missing header"
    BAD_FORMAT = "bad format"
    WRONG_SIGNATURE = "wrong signature"
    TOO_OLD = "too old"
    TOO_NEW = "too new"


def check_secret(secret: str) -> None:
    """Raise ValueError for a secret with which everybody could sign."""
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
    """Whether ``body`` was signed with ``secret`` no longer than ``tolerance_seconds`` ago.

    ``timestamp`` and ``signatures`` are the values of the headers, None where a header is missing. There may be several
    signatures with commas or spaces between them, as there are while a secret is changed: one good one is enough, and
    those of an unknown scheme are passed over. Takes the same time wherever a signature begins to differ.
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
    """The seconds since 1970 that a ``Webhook-Timestamp`` says; None when it is not written as ``sign`` signs it."""
    return int(text) if _TIMESTAMP.fullmatch(text) else None
