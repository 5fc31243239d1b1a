"""REST routes of ``/webhook``, a test receiver for webhook deliveries."""

from typing import Any

from flask import request

from afterwrite.access.roles import Role
from afterwrite.base.times import from_microseconds
from afterwrite.rest.problems import ProblemDetails
from afterwrite.rest.reading import Given
from afterwrite.rest.route import ANY_JSON, Gives, Routes, Takes
from afterwrite.rest.schemas import TEXT
from afterwrite.storage.received import Received
from afterwrite.webhooks import signing

_HMAC = "`v1=` and the hexadecimal HMAC-SHA256 of the timestamp, a dot and the body"
_UNIX_SECONDS = f"Unix seconds, at most {signing.TOLERANCE_SECONDS} from now"
_SIGNED = {
    signing.ID_HEADER: {"description": "The id of the event, the same for every attempt", "schema": TEXT},
    signing.TIMESTAMP_HEADER: {"description": _UNIX_SECONDS, "schema": TEXT},
    signing.SIGNATURE_HEADER: {"description": _HMAC, "schema": TEXT},
}

webhooks = Routes("webhooks", 500, 503)


@webhooks.route(
    "POST",
    "/webhook",
    Role.NOBODY,  # signed by its sender
    {200: Gives("Received", "The signature is valid")},
    Takes(ANY_JSON, headers=_SIGNED),
)
def receive_webhook(given: Given) -> dict[str, Any]:
    """Receive a test delivery and verify its signature."""
    received = given.service.receiver.receive(dict(request.headers), given.raw_body())
    if received.verdict == signing.Verdict.VALID:
        return _json_of(received)
    code = received.verdict.upper().replace(" ", "_")
    detail = f"The signature was rejected ({received.verdict}): sign the body with this server's WEBHOOK_SECRET"
    raise ProblemDetails(401, code, detail, headers=[("WWW-Authenticate", signing.SIGNATURE_HEADER)])


@webhooks.route("GET", "/webhook", Role.READ, {200: Gives("ReceivedPage", "The deliveries")})
def list_webhooks(given: Given) -> dict[str, Any]:
    """List the last hundred deliveries received, newest first."""
    return {"received": [_json_of(received) for received in given.service.receiver.newest()]}


def _json_of(received: Received) -> dict[str, Any]:
    return {
        "id": str(received.id),
        "received_at": from_microseconds(received.received_at_us).isoformat(),
        "event_id": received.event_id,
        "correlation_id": received.correlation_id,
        "timestamp": received.timestamp,
        "verdict": received.verdict,
        "body": received.body,
    }
